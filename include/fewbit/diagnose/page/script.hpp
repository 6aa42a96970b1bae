#pragma once
/// The script of the report page: it sorts and filters the table, and opens the rows.
///
/// Without it the page still shows everything: each row is then open.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

inline constexpr const char* page_script = R"js(
(() => {
  'use strict';
  const table = document.getElementById('layers');
  if (!table) return;
  const layers = Array.from(table.tBodies);
  const heads = Array.from(table.tHead.rows[0].cells);
  const search = document.getElementById('search');
  const choice = document.getElementById('choice');
  const shown = document.getElementById('shown');

  // A cell without a value sorts after all others, in both directions.
  const valueOf = (layer, column) => {
    const text = layer.rows[0].cells[column].dataset.v;
    return text === undefined ? NaN : Number(text);
  };

  const sortBy = (column, direction) => {
    const sign = direction === 'ascending' ? 1 : -1;
    const keyed = layers.map((layer, i) => ({layer, i, v: valueOf(layer, column)}));
    keyed.sort((a, b) => {
      if (Number.isNaN(a.v) || Number.isNaN(b.v)) {
        return Number.isNaN(a.v) - Number.isNaN(b.v) || a.i - b.i;
      }
      if (a.v === b.v) return a.i - b.i;
      return a.v < b.v ? -sign : sign;
    });
    table.append(...keyed.map(k => k.layer));
    heads.forEach((head, i) => {
      if (i === column) head.setAttribute('aria-sort', direction);
      else head.removeAttribute('aria-sort');
    });
  };

  heads.forEach((head, column) => {
    const button = head.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      const now = head.getAttribute('aria-sort');
      const first = head.dataset.first;
      const other = first === 'ascending' ? 'descending' : 'ascending';
      sortBy(column, now === first ? other : first);
    });
  });

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    layers.forEach(layer => {
      const text = layer.dataset.text;
      const named = words.every(word => text.includes(word));
      const chosen = choice.value === '' || layer.dataset.faults.split(' ').includes(choice.value);
      layer.hidden = !(named && chosen);
      if (!layer.hidden) count += 1;
    });
    const all = layers.length;
    shown.textContent = count === all ? `${count} layers` : `${count} of ${all} layers`;
    document.getElementById('none').hidden = count !== 0;
  };
  search.addEventListener('input', filter);
  choice.addEventListener('change', filter);

  const open = (layer, isOpen) => {
    layer.classList.toggle('open', isOpen);
    layer.querySelector('.name').setAttribute('aria-expanded', String(isOpen));
  };
  layers.forEach(layer => {
    open(layer, false);
    layer.rows[0].addEventListener('click', event => {
      if (event.target.closest('a') || String(window.getSelection())) return;
      open(layer, !layer.classList.contains('open'));
    });
  });

  // A link to a layer opens it, even if the filter hides it.
  const follow = () => {
    const layer = document.getElementById(location.hash.slice(1));
    if (!layer || !layers.includes(layer)) return;
    if (layer.hidden) {
      search.value = '';
      choice.value = '';
      filter();
    }
    open(layer, true);
    layer.scrollIntoView({block: 'start'});
  };
  window.addEventListener('hashchange', follow);
  filter();
  follow();
})();
)js";

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
