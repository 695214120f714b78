// The copy button of each block of code. Without this script there are none.
const said = document.createElement("p");
said.className = "said";
said.setAttribute("role", "status");
document.querySelector("main").append(said);
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentElement.querySelector("pre");
    try {
      await navigator.clipboard.writeText(code.textContent.trimEnd());
    } catch { // where pages may not reach the clipboard: select it, and copy that
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    said.textContent = "The code is copied.";
    setTimeout(() => {
      button.textContent = "Copy";
      said.textContent = "";
    }, 2000);
  });
}
