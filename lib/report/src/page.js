'use strict';
(() => {
const data = JSON.parse(document.getElementById('data').textContent);
const runs = data.runs.map((run, i) => ({...run, color: `var(--run${i % 7})`, dash: ['', '7 3', '2 3', '9 3 2 3'][i % 4], shown: true}));
const view = {axis: 'step', smooth: true, log: false};
const redraws = [];

// ---- elements

function put(tag, attributes, ...children) {
  const svg = ['svg', 'path', 'line', 'rect', 'text', 'g', 'circle', 'title'].includes(tag);
  const element = svg ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') element.style.cssText = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((c) => c !== null && c !== undefined));
  return element;
}

// ---- numbers

const grouped = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
function digits(value, n) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(n - 1).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return String(Number(value.toPrecision(n)));
}
function scaled(value, base, units) {
  let at = 0;
  while (Math.abs(value) >= base && at < units.length - 1) value /= base, ++at;
  return `${Number(value.toPrecision(3))}${units[at]}`;
}
const formats = {
  plain: (v) => digits(v, 5),
  count: (v) => scaled(v, 1000, ['', ' k', ' M', ' G', ' T', ' P']),
  whole: (v) => grouped.format(v),
  share: (v) => `${Number((100 * v).toPrecision(4))} %`,
  seconds: (v) => v < 1 && v > 0 ? `${digits(1000 * v, 3)} ms` : v < 120 ? `${digits(v, 3)} s` : v < 7200 ? `${digits(v / 60, 3)} min` : `${digits(v / 3600, 3)} h`,
  bytes: (v) => scaled(v, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB']),
  flops: (v) => scaled(v, 1000, ['', ' kFLOP/s', ' MFLOP/s', ' GFLOP/s', ' TFLOP/s', ' PFLOP/s', ' EFLOP/s']),
};

// ---- what is drawn

const known = {
  loss: ['Loss', 'plain', 'of what is learnt, per token'], eval_loss: ['Held-out loss', 'plain'],
  eval_accuracy: ['Held-out accuracy', 'share', 'answers that are right'], lr: ['Learning rate', 'plain'],
  grad_norm: ['Gradient norm', 'plain', 'before clipping'], tokens_per_s: ['Throughput', 'count', 'tokens a second'],
  step_time_s: ['Time of a step', 'seconds'], mfu: ['MFU', 'share', 'model FLOPs utilisation'],
  model_flops_per_s: ['Model operations', 'flops'], peak_memory_bytes: ['Peak memory', 'bytes', 'of the fullest rank, so far'],
  tokens: ['Tokens of a step', 'count', 'without padding'],
};
const logarithmic = new Set(['loss', 'eval_loss', 'grad_norm']);
const even = new Set(['lr', 'peak_memory_bytes']);  // nothing to smooth
const silent = new Set(['target_tokens', 'model_flops', 'model_flops_full_attention', 'mfu_full_attention', 'eval_samples',
                        'left_out', 'spike', 'skipped_samples', 'cut_recordings', 'cut_texts']);
const axisNames = {step: ['Steps', 'whole'], tokens: ['Tokens', 'count'], time: ['Time', 'seconds']};

/// The points of a run's curve: x and y by the axis that is chosen, with how far steps taken together reach.
function curve(run, table, key) {
  const series = run[table].series[key];
  if (!series) return [];
  const steps = run[table].axes.step, per = run[table].per;
  const along = view.axis === 'step' ? steps : table === 'steps' ? run.steps.axes[view.axis] : steps.map((s) => place(run, s));
  if (!along) return [];
  const out = [];
  for (let i = 0; i < steps.length; ++i) {
    out.push({x: along[i], y: series.mean[i], step: steps[i], from: per > 1 ? (i ? steps[i - 1] + 1 : Math.min(1, steps[0])) : steps[i],
              low: per > 1 ? series.low[i] : null, high: per > 1 ? series.high[i] : null});
  }
  return out.filter((p) => Number.isFinite(p.x));
}

/// Where a step lies on the axis, by the steps around it.
function place(run, step) {
  const steps = run.steps.axes.step, along = run.steps.axes[view.axis];
  if (!along || !steps.length) return NaN;
  const right = steps.findIndex((s) => s >= step);
  if (right < 0) return along[along.length - 1];
  if (right === 0) return along[0] * step / Math.max(steps[0], 1);
  const share = (step - steps[right - 1]) / (steps[right] - steps[right - 1]);
  return along[right - 1] + share * (along[right] - along[right - 1]);
}

/// Exponential moving average over about a fiftieth of the points, without bias at the start.
function smoothed(points) {
  const keep = 1 - 1 / Math.max(points.length / 50, 2);
  let sum = 0, weight = 0;
  return points.map((p) => {
    if (p.y !== null) sum = keep * sum + (1 - keep) * p.y, weight = keep * weight + (1 - keep);
    return {...p, y: p.y === null ? null : sum / weight};
  });
}

// ---- scales

function ticks(low, high, most) {
  const rough = (high - low) / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) || 10 * power;
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; ++k) out.push(Number((k * step).toPrecision(12)));
  return out;
}
function logTicks(low, high) {
  const out = [];
  for (const factors of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 5, 7]]) {
    out.length = 0;
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); ++p)
      for (const f of factors) if (f * 10 ** p >= low * 0.999 && f * 10 ** p <= high * 1.001) out.push(Number((f * 10 ** p).toPrecision(6)));
    if (out.length >= 3) break;
  }
  return out;
}

// ---- the tip

const tip = put('div', {id: 'tip', role: 'status', hidden: ''});
function showTip(x, y, head, rows) {
  tip.replaceChildren(put('div', {class: 'head'}, head),
    ...rows.map(([color, name, text]) => put('div', {class: 'row'}, put('span', {class: 'swatch', style: `background:${color}`}), put('span', {}, name), put('b', {}, text))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${y + 16 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 16}px`;
}
const hideTip = () => { tip.hidden = true; };

// ---- a chart

function chart(table, key) {
  const [title, kind, unit] = known[key] || [key.replace(/_/g, ' '), 'plain'];
  const format = formats[kind], exact = kind === 'plain' ? (v) => digits(v, 7) : format;
  const latest = put('span', {class: 'latest'}), holder = put('div');
  const numbers = put('details', {ontoggle: () => fillNumbers()}, put('summary', {}, 'Numbers'));
  const figure = put('figure', {'data-key': key}, put('figcaption', {}, put('b', {}, title), latest, unit ? put('span', {class: 'unit small'}, unit) : null), holder, numbers);
  let drawn = 0;

  function shownCurves() {
    return runs.filter((r) => r.shown).map((run) => ({run, points: curve(run, table, key)})).filter((c) => c.points.some((p) => p.y !== null));
  }

  function fillNumbers() {
    if (!numbers.open) return;
    const curves = shownCurves(), rows = new Map();
    curves.forEach((c, k) => c.points.forEach((p) => {
      if (!rows.has(p.step)) rows.set(p.step, {from: p.from, cells: []});
      rows.get(p.step).cells[k] = valueWords(p, exact);
    }));
    const body = [...rows].sort((a, b) => a[0] - b[0]).map(([step, row]) => put('tr', {}, put('th', {}, stepWords(row.from, step)),
      ...curves.map((_, k) => put('td', {class: 'number'}, row.cells[k] || ''))));
    const head = put('tr', {}, put('th', {}, 'Step'), ...curves.map((c) => put('th', {class: 'number'}, c.run.name)));
    numbers.replaceChildren(numbers.firstChild, put('div', {class: 'scroll', tabindex: 0}, put('table', {}, put('thead', {}, head), put('tbody', {}, ...body))));
  }

  function draw() {
    const curves = shownCurves(), width = holder.clientWidth, height = 190;
    figure.hidden = curves.length === 0;
    if (!curves.length || width < 50) return;
    drawn = width;
    const log = view.log && logarithmic.has(key);
    const fits = (v) => v !== null && Number.isFinite(v) && (!log || v > 0);
    const values = curves.flatMap((c) => c.points.flatMap((p) => [p.y, p.low, p.high])).filter(fits);
    if (!values.length) return;
    let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    if (!log && low > 0 && (low < 0.4 * high || kind === 'bytes')) low = 0;
    if (low === high) low -= Math.abs(low) * 0.1 || 0.5, high += Math.abs(high) * 0.1 || 0.5;
    if (log && low <= 0) low = high / 2;
    const whole = kind === 'bytes' ? 1024 ** Math.floor(Math.log2(high || 1) / 10) : 1;
    const yTicks = log ? logTicks(low, high) : ticks(low / whole, high / whole, 4).map((t) => t * whole);
    if (!log && yTicks.length) high = Math.max(high, yTicks[yTicks.length - 1]);
    const left = 14 + 6.2 * Math.max(...yTicks.map((t) => format(t).length), 3), right = 10, top = 8, bottom = 22;
    const xs = curves.flatMap((c) => c.points.map((p) => p.x));
    let first = Math.min(...xs), last = Math.max(...xs);
    if (first === last) first -= 0.5, last += 0.5;
    const toX = (x) => left + (x - first) / (last - first) * (width - left - right);
    const flat = log ? Math.log : (v) => v;
    const toY = (y) => height - bottom - (flat(y) - flat(low)) / (flat(high) - flat(low)) * (height - bottom - top);
    const [axisName, axisKind] = axisNames[view.axis];
    const svg = put('svg', {viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: 'img', 'aria-label': `${title} by ${axisName.toLowerCase()}; arrow keys read it point by point, Numbers below has all of them`});
    for (const t of yTicks) svg.append(put('line', {class: 'gridline', x1: left, x2: width - right, y1: toY(t), y2: toY(t)}), put('text', {x: left - 7, y: toY(t) + 4, 'text-anchor': 'end'}, format(t)));
    svg.append(put('line', {class: 'axis', x1: left, x2: width - right, y1: height - bottom, y2: height - bottom}));
    const xTicks = ticks(first, last, Math.max(2, (width - left) / 85)).filter((t) => view.axis !== 'step' || Number.isInteger(t));
    xTicks.forEach((t, i) => svg.append(put('text', {x: toX(t), y: height - 6, 'text-anchor': i === xTicks.length - 1 && toX(t) > width - 30 ? 'end' : 'middle'}, formats[axisKind](t))));
    for (const {run, points} of curves) {
      const path = (list) => list.reduce((d, p) => fits(p.y) ? `${d}${d && !d.endsWith(' ') ? 'L' : 'M'}${toX(p.x).toFixed(1)},${toY(p.y).toFixed(1)}` : d && !d.endsWith(' ') ? `${d} ` : d, '');
      const style = `stroke:${run.color};stroke-dasharray:${run.dash || 'none'}`;
      const smooth = view.smooth && table === 'steps' && points.length > 100 && !even.has(key);
      const banded = points.filter((p) => fits(p.low) && fits(p.high));
      if (banded.length > 1 && !smooth) svg.append(put('path', {class: 'band', style: `fill:${run.color}`, d: `M${banded.map((p) => `${toX(p.x).toFixed(1)},${toY(p.high).toFixed(1)}`).join('L')}L${banded.reverse().map((p) => `${toX(p.x).toFixed(1)},${toY(p.low).toFixed(1)}`).join('L')}Z`}));
      if (smooth) svg.append(put('path', {class: 'line raw', style: `stroke:${run.color}`, d: path(points)}));
      svg.append(put('path', {class: 'line', style, d: path(smooth ? smoothed(points) : points)}));
      if (points.length <= 40) for (const p of points) if (fits(p.y)) svg.append(put('circle', {cx: toX(p.x), cy: toY(p.y), r: 2.4, style: `fill:${run.color}`}));
    }
    const cross = put('g'); svg.append(cross);
    follow(svg, cross, curves, {toX, toY, fits, format, width, height, bottom, top, left, right, first, last});
    holder.replaceChildren(svg);
    latest.replaceChildren(...(curves.length > 2 ? [] : curves.map((c) => {
      const p = [...c.points].reverse().find((q) => q.y !== null);
      return put('span', {style: `color:${c.run.color}`}, format(p.y));
    })));
    fillNumbers();
  }

  /// The pointer, a finger or the arrow keys.
  function follow(svg, cross, curves, m) {
    const all = [...new Set(curves.flatMap((c) => c.points.map((p) => p.x)))].sort((a, b) => a - b);
    let at = all.length - 1;
    const nearest = (points, x) => points.reduce((best, p) => Math.abs(p.x - x) < Math.abs(best.x - x) ? p : best, points[0]);
    function show(x, clientX, clientY) {
      const found = curves.map((c) => ({...c, point: nearest(c.points, x)}));
      const main = found.reduce((best, c) => Math.abs(c.point.x - x) < Math.abs(best.point.x - x) ? c : best, found[0]).point;
      cross.replaceChildren(put('line', {class: 'cross', x1: m.toX(main.x), x2: m.toX(main.x), y1: m.top, y2: m.height - m.bottom}));
      const near = found.filter((c) => Math.abs(m.toX(c.point.x) - m.toX(main.x)) < 12);
      for (const c of near) if (m.fits(c.point.y)) cross.append(put('circle', {cx: m.toX(c.point.x), cy: m.toY(c.point.y), r: 4, style: `fill:${c.run.color};stroke:var(--card);stroke-width:1.5`}));
      let head = `Step ${stepWords(main.from, main.step)}`;
      if (view.axis !== 'step') head += ` · ${formats[axisNames[view.axis][1]](main.x)}`;
      showTip(clientX, clientY, head, near.map((c) => [c.run.color, c.run.name, valueWords(c.point, m.format)]));
    }
    svg.addEventListener('pointermove', (event) => {
      const x = (event.clientX - svg.getBoundingClientRect().left) * m.width / svg.getBoundingClientRect().width;
      show(m.first + (x - m.left) / (m.width - m.left - m.right) * (m.last - m.first), event.clientX, event.clientY);
    });
    const leave = () => { cross.replaceChildren(); hideTip(); };
    svg.addEventListener('pointerleave', leave);
    svg.addEventListener('blur', leave);
    svg.addEventListener('keydown', (event) => {
      const by = {ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -all.length, End: all.length}[event.key];
      if (event.key === 'Escape') leave();
      if (!by) return;
      event.preventDefault();
      at = Math.max(0, Math.min(all.length - 1, at + by));
      const box = svg.getBoundingClientRect();
      show(all[at], box.left + m.toX(all[at]) * box.width / m.width, box.top + box.height / 2);
    });
  }

  redraws.push(draw);
  new ResizeObserver(() => { if (holder.clientWidth !== drawn) draw(); }).observe(holder);
  return figure;
}
const stepWords = (from, to) => from < to ? `${grouped.format(from)} to ${grouped.format(to)}` : grouped.format(to);
const valueWords = (p, format) => p.y === null ? 'not a number' : p.low === null || p.low === p.high ? format(p.y) : `${format(p.y)} (${format(p.low)} to ${format(p.high)})`;

// ---- the page, part by part

function swatch(run) {
  return put('svg', {width: 26, height: 8, 'aria-hidden': 'true'}, put('line', {x1: 1, x2: 25, y1: 4, y2: 4, style: `stroke:${run.color};stroke-width:2.5;stroke-dasharray:${run.dash || 'none'}`}));
}

function legend() {
  const redraw = () => redraws.forEach((draw) => draw());
  const chips = runs.map((run) => put('button', {class: 'run', 'aria-pressed': 'true', title: runs.length > 1 ? 'show or hide' : run.folder, onclick: (event) => {
    if (runs.length < 2) return;
    run.shown = !run.shown;
    event.currentTarget.setAttribute('aria-pressed', String(run.shown));
    redraw();
  }}, swatch(run), run.name));
  const axes = ['step', 'tokens', 'time'].filter((axis) => runs.some((r) => r.steps.axes[axis]));
  const choice = put('span', {class: 'choice', role: 'group', 'aria-label': 'horizontal axis'}, ...axes.map((axis) => put('button', {'aria-pressed': String(axis === view.axis), onclick: (event) => {
    view.axis = axis;
    for (const button of event.currentTarget.parentNode.children) button.setAttribute('aria-pressed', String(button === event.currentTarget));
    redraw();
  }}, axisNames[axis][0])));
  const check = (name, text) => put('label', {}, put('input', {type: 'checkbox', checked: view[name] ? '' : null, onchange: (event) => { view[name] = event.target.checked; redraw(); }}), text);
  return put('div', {class: 'legend'}, put('span', {class: 'runs'}, ...chips), choice, check('smooth', 'Smooth'), check('log', 'Log scale'));
}

function overview() {
  const labels = [...new Set(runs.flatMap((r) => Object.keys(r.summary)))];
  const body = labels.map((label) => put('tr', {}, put('th', {scope: 'row'}, label), ...runs.map((r) => put('td', {}, r.summary[label] || '–'))));
  const head = runs.length > 1 ? put('thead', {}, put('tr', {}, put('th'), ...runs.map((r) => put('th', {scope: 'col'}, r.name)))) : null;
  return [put('h2', {}, 'At a glance'), put('div', {class: 'card overview'}, put('table', {}, head, put('tbody', {}, ...body)))];
}

function curves() {
  const keys = (table, order) => {
    const all = [...new Set(runs.flatMap((r) => Object.keys(r[table].series)))].filter((k) => !silent.has(k));
    const has = (key) => runs.some((r) => (r[table].series[key] || {mean: []}).mean.some((v) => v !== null));
    return [...order.filter((k) => all.includes(k)), ...all.filter((k) => !order.includes(k))].filter(has).map((k) => [table, k]);
  };
  const steps = keys('steps', ['loss', 'lr', 'grad_norm', 'tokens_per_s', 'step_time_s', 'mfu', 'model_flops_per_s', 'tokens', 'peak_memory_bytes']);
  const evals = keys('evals', ['eval_loss', 'eval_accuracy']);
  const list = [...steps.slice(0, 1), ...evals, ...steps.slice(1)];
  const per = Math.max(...runs.map((r) => r.steps.per));
  const words = per > 1 ? put('p', {class: 'soft small'}, `A point is the mean of up to ${per} steps; the smallest and the largest of them are told with it, and drawn as a band where nothing is smoothed.`) : null;
  return [put('h2', {}, 'Curves'), words, put('div', {class: 'grid'}, ...list.map(([table, key]) => chart(table, key)))];
}

const activities = [['compute', 'computing'], ['bubble', 'waiting for other stages'], ['communication', 'waiting for reductions']];
const activityKey = () => put('div', {class: 'key'}, ...activities.map(([a, words]) => put('span', {}, put('i', {class: 'swatch', style: `background:var(--${a})`}), words)));

function stageTimes() {
  const with_stages = runs.filter((r) => r.stages.length);
  if (!with_stages.length) return [];
  const total = (s) => s.compute_s + s.bubble_s + s.communication_s;
  const blocks = with_stages.map((run) => {
    const longest = Math.max(...run.stages.map(total)) || 1;
    return put('div', {class: 'card'}, runs.length > 1 ? put('h3', {}, swatch(run), ' ', run.name) : null, ...run.stages.map((stage) => {
      const parts = activities.map(([a, words]) => ({a, words, s: stage[`${a}_s`]}));
      const text = parts.filter((p) => p.s > 0).map((p) => `${p.a} ${formats.seconds(p.s)} (${Math.round(100 * p.s / (total(stage) || 1))} %)`);
      if (stage.peak_memory_bytes) text.push(`memory ${formats.bytes(stage.peak_memory_bytes)}`);
      return put('div', {class: 'stage'}, put('span', {}, stage.name), put('span', {class: 'bar', title: text.join(', ')}, ...parts.map((p) => put('i', {style: `width:${100 * p.s / longest}%;background:var(--${p.a})`}))), put('span', {class: 'words'}, text.join(' · ')));
    }));
  });
  return [put('h2', {}, 'Where the time goes'), put('p', {class: 'soft small'}, 'Of a step, by stage: means over the ranks of a stage and over all steps. Memory is what a rank had at its fullest.'), activityKey(), put('div', {class: 'grid'}, ...blocks)];
}

function timelines() {
  const traced = runs.filter((r) => r.tracks.some((l) => l.stretches.length));
  if (!traced.length) return [];
  const blocks = traced.map((run) => {
    const holder = put('div', {class: 'lanes'}), end = Math.max(...run.tracks.flatMap((l) => l.stretches.map((s) => s[2] + s[3])));
    let drawn = 0;
    const draw = () => {
      const width = Math.max(holder.clientWidth, 480), row = 26, left = 4;
      drawn = holder.clientWidth;
      const height = run.tracks.length * row + 24, toX = (s) => left + s / end * (width - left - 8);
      const svg = put('svg', {viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': `what each rank did in ${formats.seconds(end)}`});
      run.tracks.forEach((lane, i) => {
        svg.append(put('text', {x: left, y: i * row + 10}, lane.name));
        for (const [name, activity, begin, length, spans] of lane.stretches) {
          const words = spans > 1 ? `${spans} stretches from ${name}` : name;
          svg.append(put('rect', {x: toX(begin), y: i * row + 13, width: Math.max(toX(begin + length) - toX(begin), 0.4), height: 9, style: `fill:var(--${activity}, var(--soft))`,
            onpointermove: (event) => showTip(event.clientX, event.clientY, lane.name, [[`var(--${activity})`, `${words}, from ${formats.seconds(begin)}`, formats.seconds(length)]]), onpointerleave: hideTip}));
        }
      });
      for (const t of ticks(0, end, width / 110)) svg.append(put('line', {class: 'gridline', x1: toX(t), x2: toX(t), y1: 0, y2: height - 20}), put('text', {x: toX(t), y: height - 6, 'text-anchor': t ? 'middle' : 'start'}, formats.seconds(t)));
      holder.replaceChildren(svg);
    };
    new ResizeObserver(() => { if (holder.clientWidth !== drawn) draw(); }).observe(holder);
    const sums = put('tbody', {}, ...run.tracks.map((lane) => put('tr', {}, put('th', {}, lane.name), ...activities.map(([a]) => put('td', {class: 'number'}, formats.seconds(lane.stretches.filter((s) => s[1] === a).reduce((sum, s) => sum + s[3], 0)))))));
    const table = put('table', {}, put('thead', {}, put('tr', {}, put('th', {}, 'Rank'), ...activities.map(([, words]) => put('th', {class: 'number'}, words)))), sums);
    return put('div', {class: 'card'}, runs.length > 1 ? put('h3', {}, run.name) : null, holder, put('details', {}, put('summary', {}, 'Numbers'), put('div', {class: 'scroll', tabindex: 0}, table)));
  });
  return [put('h2', {}, 'Timelines'), put('p', {class: 'soft small'}, 'What each rank did in the steps that --trace recorded.'), activityKey(), ...blocks];
}

function answers() {
  const answered = runs.filter((r) => r.answers.length);
  if (!answered.length) return [];
  const mark = (a) => a.exact_match === 1 ? put('span', {class: 'right'}, '✓ right') : a.f1 !== undefined ? put('span', {class: a.f1 > 0 ? 'soft' : 'wrong'}, `F1 ${digits(a.f1, 2)}`) : '';
  const blocks = answered.flatMap((run) => [runs.length > 1 ? put('h3', {}, swatch(run), ' ', run.name) : null, put('div', {class: 'answers'}, ...run.answers.map((q) => put('div', {class: 'card'},
    put('p', {class: 'question'}, q.question), q.right.length ? put('p', {class: 'soft small'}, `right: ${q.right.join(' / ')}`) : null,
    put('table', {}, put('tbody', {}, ...q.answers.map((a) => put('tr', {}, put('th', {}, `step ${grouped.format(a.step)}`), put('td', {}, (a.answer || '(nothing)') + (a.cut_off ? ' … (cut off)' : '')), put('td', {}, mark(a)))))),
    q.sample ? put('small', {class: 'soft'}, q.sample) : null)))]);
  return [put('h2', {}, 'Answers to held-out questions'), ...blocks.filter(Boolean)];
}

function differences() {
  if (!data.differences.length) return [];
  const body = data.differences.map((d) => put('tr', {}, put('th', {}, d.key), ...d.values.map((v) => put('td', {}, v || '–'))));
  return [put('h2', {}, 'What differs between the configs'), put('div', {class: 'card overview'}, put('table', {}, put('thead', {}, put('tr', {}, put('th'), ...runs.map((r) => put('th', {}, r.name)))), put('tbody', {}, ...body)))];
}

function rest() {
  const notes = runs.flatMap((r) => r.notes), configs = runs.filter((r) => r.config);
  return [
    ...(notes.length ? [put('h2', {}, 'Notes'), put('ul', {class: 'notes'}, ...notes.map((n) => put('li', {}, n)))] : []),
    ...(configs.length ? [put('h2', {}, 'Configs'), ...configs.map((r) => put('details', {class: 'card'}, put('summary', {}, `config.yaml of ${r.name}`), put('div', {class: 'scroll', tabindex: 0}, put('pre', {}, r.config))))] : [])];
}

document.title = `${runs.map((r) => r.name).join(', ')} – training report`;
document.getElementById('report').append(...[put('h1', {}, runs.length > 1 ? `${runs.length} runs` : runs[0].name),
  put('p', {class: 'soft small'}, `Training report by ${data.made_by}.`), legend(), ...overview(), ...curves(), ...stageTimes(), ...timelines(), ...answers(), ...differences(), ...rest(), tip].filter(Boolean));
redraws.forEach((draw) => draw());
})();
