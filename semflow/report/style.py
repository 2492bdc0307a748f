"""The page's style sheet."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --surface: #ffffff; --raised: #f5f6f8; --ink: #1b1f24; --muted: #59636e; --line: #d8dde3;
  --flow: #0a5cad; --level0: #a84300; --level1: #4d6b12; --level2: #6b3fa0; --mark: #eaf2fb;
}
@media (prefers-color-scheme: dark) {
  :root {
    --surface: #15181c; --raised: #1e2329; --ink: #e6e9ed; --muted: #a3adb8; --line: #39414a;
    --flow: #79b8ff; --level0: #f2a365; --level1: #b3d46b; --level2: #c9a7f5; --mark: #1b2b3d;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem;
  background: var(--surface); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
h1 { font-size: 2rem; line-height: 1.2; margin: 0.5rem 0 1rem; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 0 0 0.75rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0.5rem; }
p { margin: 0 0 0.75rem; max-width: 44rem; }
a { color: var(--flow); }
section { margin-top: 3rem; padding-top: 1.75rem; border-top: 1px solid var(--line); }
nav { margin-top: 1.75rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; list-style: none; padding: 0; }
small { display: block; font-size: 0.8rem; font-weight: 400; color: var(--muted); }
code, pre { font-family: ui-monospace, Consolas, "Liberation Mono", monospace; font-size: 0.85em; }
:focus-visible { outline: 2px solid var(--flow); outline-offset: 2px; }

dl { margin: 0 0 1rem; max-width: 44rem; }
dt { font-weight: 600; margin-top: 0.75rem; }
dd { margin: 0; }
dd.not { color: var(--muted); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.25rem; }
dl.facts dt { margin: 0; font-weight: 400; color: var(--muted); }

.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; }
.card { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; }
.card { padding: 1.1rem 1.25rem; }
.card h2 { font-size: 1.1rem; margin: 0; }
.card p { margin: 0; }
.card .setting { color: var(--muted); margin-bottom: 0.5rem; }
.card .line { font-size: 0.95rem; }
.big { font-size: 2.4rem; line-height: 1.2; font-weight: 600; font-variant-numeric: tabular-nums; }

.beside { display: flex; flex-wrap: wrap; gap: 1.5rem 2.5rem; align-items: flex-start; }
.beside > * { flex: 1 1 23rem; min-width: 0; }
.scroll { overflow-x: auto; margin: 0 0 1.25rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.5rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 3rem); }
th, td { padding: 0.4rem 0 0.4rem 0.75rem; text-align: right; vertical-align: top; }
th:first-child { text-align: left; padding-left: 0.5rem; }
td:last-child, thead th:last-child { padding-right: 0.5rem; }
thead th { vertical-align: bottom; font-size: 0.9rem; line-height: 1.3; }
tbody th { font-weight: 400; min-width: 7.5rem; }
tbody { border-top: 1px solid var(--line); }
table { border-bottom: 1px solid var(--line); }
tr.marked { background: var(--mark); }
tr.marked > * { font-weight: 600; }
.whole { white-space: nowrap; }
thead th:not(:first-child) { min-width: 4.75rem; }
.hash { overflow-wrap: anywhere; display: inline-block; min-width: 16rem; }

figure { margin: 0 0 1.25rem; }
figure > svg, figure .beside > svg { display: block; width: 100%; max-width: 36rem; height: auto; }
svg.defs { position: absolute; width: 0; height: 0; }
figcaption strong { display: block; font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.1rem; font-size: 0.9rem; margin: 0.3rem 0; }
.entry { display: inline-flex; align-items: center; gap: 0.45rem; }
svg text { font-size: 14px; fill: var(--muted); font-variant-numeric: tabular-nums; }
svg text.value, svg text.name { fill: var(--ink); }
svg .note { fill: var(--muted); }
svg text.name { font-weight: 600; }
svg .note { font-weight: 400; font-style: italic; }
figure svg text.value {
  paint-order: stroke; stroke: var(--surface); stroke-width: 4px; stroke-linejoin: round;
}
.grid { stroke: var(--line); stroke-width: 1; }
.series { fill: none; stroke: var(--flow); stroke-width: 2.5; }
.point { fill: var(--flow); stroke: var(--surface); stroke-width: 1.5; }
.level { stroke-width: 2; }
.level0 { stroke: var(--level0); stroke-dasharray: 8 4; }
.level1 { stroke: var(--level1); stroke-dasharray: 2 4; }
.level2 { stroke: var(--level2); stroke-dasharray: 8 3 2 3; }
.edge { stroke: var(--muted); stroke-width: 1; }
figure .beside { gap: 0 2.5rem; margin-top: 0.75rem; }

ul.classes { display: flex; flex-wrap: wrap; gap: 0.3rem 1.25rem; list-style: none; padding: 0; }
ul.classes li { display: inline-flex; align-items: center; gap: 0.45rem; }
.swatch { width: 1rem; height: 1rem; border: 1px solid var(--muted); border-radius: 2px; }
.example h3 { margin: 1.5rem 0 0.4rem; font-weight: 400; color: var(--muted); }
.cells { display: grid; grid-template-columns: repeat(5, 1fr); gap: 0.75rem; }
.cells figure { margin: 0; }
.cells img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.cells img { border: 1px solid var(--line); }
.cells figcaption { font-size: 0.85rem; line-height: 1.35; padding-top: 0.3rem; }
@media (max-width: 44rem) {
  .cells { grid-template-columns: repeat(3, 1fr); gap: 0.5rem; }
  dl.facts { grid-template-columns: 1fr; gap: 0; }
  dl.facts dd { margin-bottom: 0.5rem; }
}

details { margin: 1rem 0; }
summary { cursor: pointer; padding: 0.35rem 0; color: var(--flow); }
pre { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; }
pre { padding: 1rem; overflow-x: auto; line-height: 1.5; }
@media print { body { max-width: none; } .example, figure, tr { break-inside: avoid; } }
"""
