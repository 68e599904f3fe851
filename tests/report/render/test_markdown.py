"""A page in Markdown: text from outside is text wherever it stands."""

from bench.report.document import Page
from bench.report.render.markdown import markdown_page
from bench.report.sections.base import Answer


def test_the_title_of_an_answer_is_text() -> None:
    answer = Answer("accuracy-1", "Test accuracy: <script>alert(1)</script>", "It is so.", (), ())
    text = markdown_page(Page("a class", (), (), (answer,)))
    assert "## Test accuracy: &lt;script>alert(1)&lt;/script>\n" in text
