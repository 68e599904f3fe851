"""One report in each format: HTML, Markdown, and a zip file to hand out."""
