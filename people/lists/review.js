'use strict';
const about = document.getElementById('list').dataset;
const rows = [...document.querySelectorAll('#list tbody tr')];
const blind = about.kind === 'audit';
const state = document.getElementById('state');
const save = document.getElementById('save');
const box = row => row.querySelector('input');
const typed = row => box(row).value.trim();
// An import refuses a point where no value is shown: nobody has seen what it would confirm.
const refused = row => typed(row) === '.' && (blind || ['', '?'].includes(row.dataset.value));

// What is typed is kept under the id of this very page: a later list of the job has other fields
// in the same lines.
const prefix = 'inkmill-list-';
const place = row => row.dataset.item + '/' + row.dataset.field;
let saved = false, lost = false;

function keep() {
  const values = rows.filter(row => box(row).value).map(row => [place(row), box(row).value]);
  const kept = JSON.stringify({saved, typed: Object.fromEntries(values)});
  const put = () => localStorage.setItem(prefix + about.id, kept);
  try { put(); lost = false; } catch (e) {
    try { forgetSaved(); put(); lost = false; } catch (e) { lost = true; }
  }
}

// The browser's storage is limited: lists that were saved to a file need not stay in it.
function forgetSaved() {
  for (const key of Object.keys(localStorage))
    if (key.startsWith(prefix) && JSON.parse(localStorage.getItem(key)).saved)
      localStorage.removeItem(key);
}

function recall() {
  try {
    const found = JSON.parse(localStorage.getItem(prefix + about.id)) || {typed: {}};
    rows.forEach(row => { box(row).value = found.typed[place(row)] || ''; });
    saved = found.saved;
  } catch (e) {}
}

function showState() {
  rows.forEach(row => row.classList.toggle('done', !!typed(row)));
  rows.forEach(row => row.classList.toggle('wrong', refused(row)));
  if (!rows.length) {
    state.textContent = 'nothing to type: this list has no fields';
    return;
  }
  const done = rows.filter(typed).length, points = rows.filter(refused).length;
  const parts = [`${done} of ${rows.length} entered`];
  if (points) parts.push(`${points} with . where no value is shown: type what is written`);
  if (done) parts.push(
    lost ? 'this browser cannot store entries: save before you leave' : saved ? 'saved' : 'not saved yet');
  state.textContent = parts.join('; ');
}

function csv() {
  const cell = text => '"' + String(text).replace(/"/g, '""') + '"';
  // A spreadsheet that opens the file takes no value behind an apostrophe for a number.
  const value = text => text && "'" + text;
  const lines = rows.map(row => [
    about.job, about.kind, about.sample, about.jobId, row.dataset.item, row.dataset.field,
    value(row.dataset.value), value(typed(row)),
  ].map(cell).join(','));
  return ['job,kind,sample,job_id,item,field,shown,typed', ...lines].join('\n') + '\n';
}

rows.forEach((row, i) => {
  box(row).addEventListener('input', () => { saved = false; keep(); showState(); });
  box(row).addEventListener('keydown', e => {
    const step = {Enter: 1, ArrowDown: 1, ArrowUp: -1}[e.key];
    const next = step && rows[i + step];
    if (!next) return;
    e.preventDefault();
    box(next).focus();
    box(next).scrollIntoView({block: 'center'});
  });
});

save.disabled = !rows.length;
save.addEventListener('click', () => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv()], {type: 'text/csv'}));
  link.download = `${about.kind}-${about.job}.csv`;
  link.click();
  saved = true;
  keep();
  showState();
});
recall();
showState();
if (rows[0]) box(rows[0]).focus();
