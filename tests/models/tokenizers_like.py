"""Three tiny tokenizers, of the kinds that models come with."""

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CORPUS = (
    "def f(x): return x + 1",
    "def f(): return (x)",
    "def g(x, y): return f(x) + f(y)",
    "Say: hello there, hell is there, hello again",
    "I am worn out. What shall I do? You could rest, or you could ask a friend.",
    "user: What shall I do? assistant: Rest, rest, and do not ask the doctor.",
    "yes no yes no Yes No 'yes' \"no\" naïve café 日本 😀",
)
SPECIAL = ["<unk>", "<s>", "</s>"]
CHATML = (
    "{% for m in messages %}<s>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
    "[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}"
    "{% endif %}{% endfor %}"
)

# Templates that end a turn otherwise than the tokenizer ends a text.
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system') }}{% endif %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
LLAMA_3 = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}<|end|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
TURNS = {  # from a template to its special tokens, the end of a turn last
    GEMMA: ["<start_of_turn>", "<end_of_turn>"],
    LLAMA_3: ["<|start|>", "<|end|>", "<|eot_id|>"],
    PHI: ["<|user|>", "<|assistant|>", "<|end|>"],
}


def with_turns(tokenizer: PreTrainedTokenizerFast, template: str) -> int:
    """Give a tokenizer one of these templates; return the token that ends a turn."""
    tokenizer.add_tokens(TURNS[template], special_tokens=True)
    if tokenizer.unk_token_id in tokenizer.encode("\n", add_special_tokens=False):
        tokenizer.add_tokens(["\n"])  # in which such templates part turns
    tokenizer.chat_template = template
    return int(tokenizer.convert_tokens_to_ids(TURNS[template][-1]))


def byte_level(*, start: bool = False) -> PreTrainedTokenizerFast:
    """As GPT-2's: bytes, a space belongs to the word behind it; start: as Llama 3's."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(CORPUS, trainer)
    return _wrapped(words, start=start, template=CHATML)


def sentencepiece_like(*, legacy: bool = False) -> PreTrainedTokenizerFast:
    """As Llama 2's: a space is put in front of the text, and <s> in front of that.

    legacy: the space by a normalizer, as such tokenizers were converted at first.
    """
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, show_progress=False
    )
    if legacy:
        words.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        words.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    words.decoder = decoders.Metaspace()
    words.train_from_iterator(CORPUS, trainer)
    return _wrapped(words, start=True, template=LLAMA)


def _wrapped(
    words: Tokenizer, *, start: bool, template: str
) -> PreTrainedTokenizerFast:
    """Return the tokenizer as transformers loads one."""
    if start:
        words.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )
    tokenizer.chat_template = template
    return tokenizer
