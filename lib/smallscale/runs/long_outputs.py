"""What if a notebook prints without end? Its run goes on; the excess is not kept."""

from typing import Any

from nbclient import NotebookClient

MOST_PRINTED = 10_000_000  # characters of a run's printed text that are kept


class FrugalClient(NotebookClient):
    """Executes cells, and keeps of what they print no more than MOST_PRINTED."""

    printed = 0  # characters so far

    def output(
        self, outs: list[Any], msg: dict[str, Any], display_id: Any, cell_index: int
    ) -> Any:
        """Keep an output; of a printed text, as much as there is room for."""
        if msg["msg_type"] == "stream":
            room = MOST_PRINTED - self.printed
            if room < 0:
                return None
            content = msg["content"]
            self.printed += len(content["text"])
            if len(content["text"]) > room:
                note = f"\n… all beyond {MOST_PRINTED:,} characters is not kept\n"
                cut = {**content, "text": content["text"][:room] + note}
                msg = {**msg, "content": cut}
        return super().output(outs, msg, display_id, cell_index)
