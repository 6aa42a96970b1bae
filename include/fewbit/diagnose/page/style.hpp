#pragma once
/// The style of the report page: light and dark, 400 to 2,000 pixels wide, and on paper.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

inline constexpr const char* page_style = R"css(
:root {
  color-scheme: light dark;
  --ground: #f7f7f5; --sheet: #ffffff; --ink: #1d2329; --soft: #5c6670; --line: #e2e4e3;
  --faint: #eef0ef;
  --own: #2468a8; --total: #c2571a; --bar: #a9bfd3; --bad: #ad2f2a; --warn: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --sheet: #1b1f23; --ink: #e4e7ea; --soft: #9aa4ad; --line: #30363c;
    --faint: #252a2f;
    --own: #6fabe3; --total: #e8935c; --bar: #48607a; --bad: #f08a80; --warn: #dfb05a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 12px; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans",
  sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1720px; margin: 0 auto;
  padding: clamp(18px, 3vw, 44px) clamp(14px, 3vw, 48px) 64px; }
h1 { font-size: clamp(22px, 2.4vw, 30px); line-height: 1.2; margin: 0; letter-spacing: -0.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 40px 0 12px; }
h3 { font-size: 13px; margin: 0 0 6px; font-weight: 600; }
p { margin: 0; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: 3px;
  overflow-wrap: anywhere; }
small, .soft { color: var(--soft); font-size: 13px; }
.lead { margin-top: 6px; color: var(--soft); max-width: 80ch; }

.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr));
  margin: 22px 0 0;
  background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.facts > div { box-shadow: 1px 0 0 var(--line), 0 1px 0 var(--line); padding: 12px 16px;
  min-width: 0; }
.facts dt { color: var(--soft); font-size: 13px; }
.facts dd { margin: 1px 0 0; font-size: 20px; line-height: 1.3; overflow-wrap: anywhere; }
.facts small { display: block; line-height: 1.35; }

.actions { list-style: none; margin: 0; padding: 0; display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 280px), 1fr)); }
.actions li { background: var(--sheet); border: 1px solid var(--line);
  border-left: 4px solid var(--soft); border-radius: 8px; padding: 12px 16px 14px; }
.actions .bad { border-left-color: var(--bad); }
.actions .warn { border-left-color: var(--warn); }
.actions p + p { margin-top: 4px; }
.actions .layer { font-weight: 600; }
.actions .advice { color: var(--soft); }

.charts { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(100%,
  380px), 1fr)); }
figure { margin: 0; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px;
  padding: 14px 16px 10px; min-width: 0; }
figcaption { font-size: 14px; font-weight: 600; line-height: 1.4; margin-bottom: 8px; }
figcaption small { display: block; font-weight: 400; }
svg { display: block; width: 100%; height: auto; max-width: 620px; overflow: visible; }
svg text { font-size: 12px; fill: var(--soft); }
svg .ink { fill: var(--ink); }
svg .axis { stroke: var(--line); stroke-width: 1; }
svg .own { stroke: var(--own); fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .total { stroke: var(--total); fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .own-fill { fill: var(--own); }
svg .total-fill { fill: var(--total); }
svg text.own-text { fill: var(--own); stroke: none; }
svg text.total-text { fill: var(--total); stroke: none; }
svg .bar { fill: var(--bar); }
svg .bad-fill { fill: var(--bad); }
svg .limit { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 4 3; }
svg .mark { stroke: var(--own); stroke-width: 1.2; }
svg .mark.used { stroke: var(--total); stroke-width: 2; }
svg .mark-text { fill: var(--own); }
svg .mark-text.used { fill: var(--total); font-weight: 600; }

.tools { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin-bottom: 10px; }
.tools input, .tools select { font: inherit; font-size: 16px; color: inherit;
  background: var(--sheet); border: 1px solid var(--line);
  border-radius: 8px; padding: 6px 10px; height: 38px; min-width: 0; }
.tools input { flex: 1 1 190px; max-width: 340px; }
.tools select { flex: 0 1 auto; max-width: 100%; }
.tools [id=shown] { margin-left: auto; }
.sheet { background: var(--sheet); border: 1px solid var(--line); border-radius: 10px;
  overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
#layers th, #layers td { padding: 8px 10px; text-align: right; white-space: nowrap;
  vertical-align: top; font-weight: 400; }
#layers thead th { border-bottom: 1px solid var(--line); padding: 0; vertical-align: bottom; }
#layers thead button { all: unset; box-sizing: border-box; display: block; width: 100%;
  padding: 10px; cursor: pointer; color: var(--soft);
  font-size: 12.5px; line-height: 1.25; white-space: normal; text-align: inherit; }
#layers thead button:hover { color: var(--ink); }
#layers thead [aria-sort] button { color: var(--ink); font-weight: 600; }
#layers thead .rank button { padding-right: 0; }
#layers thead [aria-sort=ascending]:not(.rank) button::after { content: " \2191"; }
#layers thead [aria-sort=descending] button::after { content: " \2193"; }
#layers .left { text-align: left; }
#layers .rank { color: var(--soft); padding-right: 0; width: 1%; }
#layers th.layer { text-align: left; white-space: normal; min-width: 150px; max-width: 380px; }
#layers tbody { border-bottom: 1px solid var(--line); }
#layers tbody:last-child { border-bottom: 0; }
#layers tbody > tr:first-child { cursor: pointer; }
#layers tbody > tr:first-child:hover { background: var(--faint); }
#layers tbody.open > tr:first-child { background: var(--faint); }
.name { all: unset; cursor: pointer; font-weight: 600; overflow-wrap: anywhere; }
.name::before { content: "\25B8"; display: inline-block; width: 1.1em; color: var(--soft);
  transition: transform .12s; }
.open .name::before { transform: rotate(90deg) translate(-1px, 2px); }
th.layer small { display: block; padding-left: 1.25em; line-height: 1.35; overflow-wrap: anywhere; }
small.bad { color: var(--bad); }
small.warn { color: var(--warn); }
#layers td.pair { padding-top: 12px; width: 92px; }
#layers td.pair svg { width: 80px; max-width: none; margin-left: auto; }
#layers .more > td { white-space: normal; text-align: left; padding: 6px 16px 20px;
  background: var(--faint); cursor: auto; }
.js #layers tbody:not(.open) .more { display: none; }
.inside { display: grid; gap: 18px 28px; grid-template-columns: repeat(auto-fit, minmax(min(100%,
  300px), 1fr)); max-width: 1500px; }
.inside ul { margin: 0 0 12px; padding-left: 18px; }
.inside li { margin-bottom: 4px; }
.inside li::first-letter { text-transform: uppercase; }
.inside dl { display: grid; grid-template-columns: 1fr auto; gap: 2px 16px; margin: 0;
  max-width: 420px; font-size: 13.5px; }
.inside dt { color: var(--soft); }
.inside dd { margin: 0; text-align: right; white-space: nowrap; }
.inside dd.scheme { white-space: normal; }
#none { padding: 18px 16px; color: var(--soft); }
.guide { margin-top: 18px; color: var(--soft); font-size: 14px; }
.guide summary { cursor: pointer; color: var(--ink); }
.guide dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 12px 0 0;
  max-width: 900px; }
.guide dt { color: var(--ink); }
.guide dd { margin: 0; }
:focus-visible { outline: 2px solid var(--own); outline-offset: 2px; border-radius: 4px; }
@media (max-width: 1560px) { .p4 { display: none; } }
@media (max-width: 1180px) { .p3 { display: none; } }
@media (max-width: 760px) {
  .p2 { display: none; }
  svg text { font-size: 13.5px; }
  .guide dl { grid-template-columns: 1fr; gap: 0; }
  .guide dd { margin-bottom: 8px; }
  #layers, #layers thead, #layers tbody { display: block; }
  #layers tr { display: grid; grid-auto-flow: column; grid-template-columns: 30px minmax(0, 1fr);
    grid-auto-columns: 64px; }
  #layers tr.more { display: block; }
  #layers .more > td { display: block; }
  #layers th, #layers td { padding: 8px; }
  #layers thead th { align-self: end; }
  #layers thead button { padding: 8px; }
  .inside dd { white-space: normal; overflow-wrap: anywhere; }
  #layers th.layer { min-width: 0; }
  #layers .more > td { padding: 6px 12px 18px; }
}
@media print { .tools, .guide { display: none; } body { background: #fff; } }
)css";

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
