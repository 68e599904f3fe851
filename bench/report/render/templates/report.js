// Tables sort by the button in a column's head; what is missing stays last. In a notebook's frame,
// where a link would lead away from the page, those within it scroll, and those to files are text.
(function () {
  "use strict";
  var missing = "–";

  function value(cell) {
    var text = cell.textContent.trim();
    if (text === missing || text === "") { return null; }
    var number = /^[-+]?[\d,]*\.?\d+/.exec(text);
    return number ? parseFloat(number[0].replace(/,/g, "")) : text.toLowerCase();
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  function sort(head) {
    var table = head.closest("table");
    var body = table.tBodies[0];
    var down = head.getAttribute("aria-sort") === "ascending";
    var rows = Array.prototype.map.call(body.rows, function (row) {
      return { row: row, value: value(row.cells[head.cellIndex]) };
    });
    rows.sort(function (a, b) {
      if (a.value === null || b.value === null) {
        return (a.value === null) - (b.value === null);
      }
      return down ? compare(b.value, a.value) : compare(a.value, b.value);
    });
    rows.forEach(function (entry) { body.appendChild(entry.row); });
    table.querySelectorAll("th[aria-sort]").forEach(function (other) {
      other.setAttribute("aria-sort", "none");
    });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  if (location.href === "about:srcdoc") {
    document.querySelectorAll("a[href]").forEach(function (link) {
      var href = link.getAttribute("href");
      if (href[0] !== "#") { link.removeAttribute("href"); return; }
      link.addEventListener("click", function (event) {
        event.preventDefault();
        document.getElementById(href.slice(1)).scrollIntoView();
      });
    });
  }

  document.querySelectorAll("th[aria-sort] button").forEach(function (button) {
    button.addEventListener("click", function () { sort(button.parentElement); });
  });
})();
