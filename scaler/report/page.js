// Filters by family and source, and figures that follow the page between light and dark, screen and paper.
"use strict";

document.querySelectorAll(".filters select").forEach((select) => {
  select.addEventListener("change", async () => {
    const table = document.querySelector("#board");
    const { jQuery } = await window[Object.keys(window).find((name) => name.startsWith("_itables_"))];
    const api = jQuery(table).DataTable();
    const names = api.columns().header().toArray().map((header) => header.textContent.trim());
    const escaped = select.value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    api.column(names.indexOf(select.dataset.column)).search(escaped && `^${escaped}$`, true, false).draw();
  });
});

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const ink = () => {
  const colour = dark.matches && !window.matchMedia("print").matches ? "#d8d8d8" : "#333333";
  document.querySelectorAll(".js-plotly-plot").forEach((plot) => Plotly.relayout(plot, { "font.color": colour }));
};
dark.addEventListener("change", ink);
window.addEventListener("load", ink);
window.addEventListener("beforeprint", ink);
window.addEventListener("afterprint", ink);
