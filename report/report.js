// The values under the pointer in the charts of the report (report/report.h); the page is whole without it. The points are
// read back from the drawn paths, so that the page holds them once.
'use strict';
const tip = document.createElement('div'); tip.id = 'tip'; tip.hidden = true; document.body.append(tip);
const make = (name, set) => { const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in set) made.setAttribute(key, set[key]); return made; };
for (const svg of document.querySelectorAll('svg.chart')) {
  const plot = svg.querySelector('.plot').getBBox(), [x0, x1] = svg.dataset.x.split(' ').map(Number);
  const [y0, y1] = svg.dataset.y.split(' ').map(Number), log = 'log' in svg.dataset;
  const x_of = at => x0 + (at - plot.x) / plot.width * (x1 - x0);
  const y_of = at => { const part = (plot.y + plot.height - at) / plot.height;
    return log ? y0 * (y1 / y0) ** part : y0 + part * (y1 - y0); };
  const digits = value => log ? value.toPrecision(4) :
    value.toFixed(Math.min(12, Math.max(0, 3 - Math.floor(Math.log10(y1 - y0)))));
  let series, marks;
  const read = () => [...svg.querySelectorAll('[data-name]')].map(path => ({name: path.dataset.name, path,
    points: [...path.getAttribute('d').matchAll(/[ML]([-\d.]+),([-\d.]+)/g)].map(m => [+m[1], +m[2]])}))
    .filter(one => one.points.length);
  const clear = () => { if (marks) marks.remove(); marks = undefined; tip.hidden = true; };
  svg.addEventListener('pointerleave', clear);
  svg.addEventListener('pointermove', event => {
    series ??= read();
    if (!series.length) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const near = series.map(one => one.points.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a));
    const x = near.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a)[0];
    clear();
    svg.append(marks = make('g', {'pointer-events': 'none'}));
    marks.append(make('path', {class: 'rule', d: `M${x},${plot.y}v${plot.height}`}));
    const value = x_of(x), whole = Math.abs(value - Math.round(value)) < (x1 - x0) * 2e-6;
    tip.replaceChildren(document.createElement('div'));
    tip.firstChild.textContent = `${svg.dataset.label} ${whole ? Math.round(value) : +value.toPrecision(5)}`;
    series.forEach((one, i) => {
      if (Math.abs(near[i][0] - x) > 3) return;
      const group = make('g', {class: one.path.parentNode.getAttribute('class')}), line = document.createElement('div');
      group.append(make('circle', {class: 'spot', r: 3.5, cx: near[i][0], cy: near[i][1]})); marks.append(group);
      for (const text of [one.name, digits(y_of(near[i][1]))]) {
        const part = document.createElement('span'); part.textContent = text; line.append(part); }
      tip.append(line);
    });
    tip.hidden = false;
    const left = event.clientX + 14 + tip.offsetWidth > innerWidth ? event.clientX - 14 - tip.offsetWidth : event.clientX + 14;
    tip.style.left = `${left}px`; tip.style.top = `${event.clientY + 14}px`;
  });
}
