// The page without a server: sorting, tables as CSV, folding, and the presenter. What is missing in
// a table stays last. In a notebook's frame, where a link would lead away from the page, those
// within it scroll, and those to files are text.
(function () {
  "use strict";
  var missing = "–";
  var root = document.documentElement;

  function all(selector, within) {
    return Array.prototype.slice.call((within || document).querySelectorAll(selector));
  }

  // Tables

  function value(cell) {
    var text = cell.textContent.trim();
    if (text === missing || text === "") { return null; }
    var number = /^[≥≤<>]?\s*([-+−]?[\d,]*\.?\d+(?:e[-+]?\d+)?)/i.exec(text);
    return number
      ? parseFloat(number[1].replace(/,/g, "").replace("−", "-"))
      : text.toLowerCase();
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") { return a - b; }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  }

  function order(cells, down) {
    var entries = cells.map(function (cell, index) { return { value: value(cell), index: index }; });
    entries.sort(function (a, b) {
      if (a.value === null || b.value === null) {
        return (a.value === null) - (b.value === null);
      }
      return down ? compare(b.value, a.value) : compare(a.value, b.value);
    });
    return entries.map(function (entry) { return entry.index; });
  }

  // A column's head sorts rows; in a table whose columns are models, a row's head sorts columns.
  function sort(head) {
    var table = head.closest("table");
    var body = table.tBodies[0];
    var down = head.getAttribute("aria-sort") === "ascending";
    var rows = Array.prototype.slice.call(body.rows);
    if (table.classList.contains("turned")) {
      var columns = order(Array.prototype.slice.call(head.parentElement.cells, 1), down);
      all("tr", table).forEach(function (row) {
        var cells = Array.prototype.slice.call(row.cells, 1);
        columns.forEach(function (index) { row.appendChild(cells[index]); });
      });
    } else {
      var cells = rows.map(function (row) { return row.cells[head.cellIndex]; });
      order(cells, down).forEach(function (index) { body.appendChild(rows[index]); });
    }
    all("th[aria-sort]", table).forEach(function (other) { other.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  var figure = /^[+-][\d.,]+(e[+-]?\d+)?( ± [\d.,]+)?( %| pt| points?)?( \([-+\d., to–]*\))?$/;

  function csv(table) {
    return all("tr", table).map(function (row) {
      return Array.prototype.map.call(row.cells, function (cell) {
        var text = cell.textContent.trim().replace(/\s+/g, " ");
        // A spreadsheet would take such a text for a formula, unless it is a figure of a report.
        if (/^[=+\-@]/.test(text) && !figure.test(text)) { text = "'" + text; }
        return '"' + text.replace(/"/g, '""') + '"';
      }).join(",");
    }).join("\r\n") + "\r\n";
  }

  function download(button) {
    var section = button.closest("section");
    var link = document.createElement("a");
    var table = button.parentElement.previousElementSibling.querySelector("table");
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent("\ufeff" + csv(table));
    link.download = section.id + ".csv";
    link.click();
  }

  // Folding

  var foldable = all("details");
  var toggle = document.getElementById("open-all");

  function openAll(open) {
    foldable.forEach(function (details) { details.open = open; });
    toggle.setAttribute("aria-pressed", String(open));
    toggle.textContent = open ? "Close all" : "Open all";
  }

  var before = [];
  window.addEventListener("beforeprint", function () {
    before = foldable.filter(function (details) { return details.open; });
    foldable.forEach(function (details) { details.open = !presenting(); });
  });
  window.addEventListener("afterprint", function () {
    foldable.forEach(function (details) { details.open = before.indexOf(details) >= 0; });
  });

  // Presenter: a section a screen, and a page each in print

  var slides = all("main > section:not(.aside)");
  var paper = document.createElement("style");
  var place = document.getElementById("place");
  var current = 0;
  slides.forEach(function (slide) { slide.tabIndex = -1; });
  paper.textContent = "@page { size: 13.333in 7.5in; margin: .4in; }";

  function presenting() { return root.classList.contains("presenting"); }

  function show(number) {
    current = Math.max(0, Math.min(slides.length - 1, number));
    slides.forEach(function (slide, index) { slide.classList.toggle("current", index === current); });
    place.textContent = (current + 1) + " / " + slides.length;
    slides[current].scrollTop = 0;
    if (presenting()) { slides[current].focus({ preventScroll: true }); }
  }

  // The section that is being read, or the first.
  function visible() {
    var index = 0;
    slides.forEach(function (slide, number) {
      if (slide.getBoundingClientRect().top < 60) { index = number; }
    });
    return index;
  }

  function present(on) {
    if (on === presenting()) { return; }
    var first = visible();
    root.classList.toggle("presenting", on);
    if (on) {
      document.head.appendChild(paper);
      show(first);
    } else {
      paper.remove();
      document.activeElement.blur();
      slides[current].scrollIntoView();
      if (location.hash === "#present") {
        history.replaceState(null, "", location.pathname + location.search);
      }
    }
  }

  var keys = {
    ArrowRight: 1, ArrowDown: 1, PageDown: 1, " ": 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1,
    Home: -Infinity, End: Infinity
  };

  // Whether a key that would turn the page has something to scroll first.
  function scrolls(from, step) {
    for (var part = from; part && part !== document.body; part = part.parentElement) {
      var left = part.scrollHeight - part.clientHeight - part.scrollTop;
      var may = /auto|scroll/.test(getComputedStyle(part).overflowY);
      if (may && (step > 0 ? left > 1 : part.scrollTop > 1)) { return true; }
    }
    return false;
  }

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    // A letter alone must not act where it may be meant for something else.
    var free = presenting() || !/^(A|BUTTON|SUMMARY|INPUT)$/.test(document.activeElement.tagName);
    if (/^p$/i.test(event.key) && free) { present(!presenting()); return; }
    if (!presenting()) { return; }
    if (event.key === "Escape") { present(false); return; }
    var step = keys[event.key];
    // Space presses what has the focus.
    if (!step || (event.key === " " && /^(BUTTON|SUMMARY|A)$/.test(event.target.tagName))) { return; }
    if (event.key === " " && event.shiftKey) { step = -1; }
    if (/Up|Down| /.test(event.key) && scrolls(event.target, step)) { return; }
    event.preventDefault();
    show(current + step);
  });

  // Wiring

  if (location.href === "about:srcdoc") {
    all("a[href]").forEach(function (link) {
      var href = link.getAttribute("href");
      if (href[0] !== "#") { link.removeAttribute("href"); return; }
      link.addEventListener("click", function (event) {
        event.preventDefault();
        document.getElementById(href.slice(1)).scrollIntoView();
      });
    });
    all("button.csv").forEach(function (button) { button.remove(); });
  }

  all("th[aria-sort] button").forEach(function (button) {
    button.addEventListener("click", function () { sort(button.parentElement); });
  });
  all("button.csv").forEach(function (button) {
    button.addEventListener("click", function () { download(button); });
  });
  toggle.addEventListener("click", function () {
    openAll(toggle.getAttribute("aria-pressed") === "false");
  });
  document.getElementById("present").addEventListener("click", function () { present(true); });
  all("#pager button").forEach(function (button) {
    button.addEventListener("click", function () {
      var step = Number(button.value);
      if (step) { show(current + step); } else { present(false); }
    });
  });
  window.addEventListener("hashchange", function () {
    if (location.hash === "#present") { present(true); }
  });
  if (location.hash === "#present") { present(true); }
})();
