def notebook_page(notebook, run):
    return "<html></html>"


def save_figures(notebook, folder):
    return []


def gallery(runs):
    return "<html></html>"
