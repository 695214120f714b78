// The town map: draws one hour of the film that townmap.py made, on a canvas, and says the same in words below it.
// All of the film is here, so the slider needs no kernel. Colours are Okabe and Ito's; shape says what colour says.

const RADIUS = 13, STEP = 32, HEAD = 28, GAP = 8, WIDEST = 1000; // pixels
const MOVE = 350, PAUSE = 900; // milliseconds that people walk; between hours
const BLUE = "#0072B2", ORANGE = "#E69F00";

const abreast = (width) => Math.max(2, Math.floor((width - 8) / STEP / 2) * 2); // even: a row's end parts no pair

/** A box {x, y, width, height} for each place, and the height of all: as many columns as fit, as high as is ever needed. */
function layout(film, width) {
  const most = film.places.map((_, place) => Math.max(...film.frames.map(({ at }) => at.filter((p) => p === place).length)));
  const boxes = [];
  let y = 0;
  for (const [first, end, least] of [[0, film.public, 150], [film.public, film.places.length, 100]]) {
    const rows = Math.ceil((end - first) / Math.max(1, Math.floor((width + GAP) / (least + GAP))));
    const columns = Math.ceil((end - first) / rows), wide = (width - GAP * (columns - 1)) / columns;
    for (let start = first; start < end; start += columns) {
      const inRow = most.slice(start, Math.min(start + columns, end));
      const height = HEAD + STEP * Math.max(1, ...inRow.map((n) => Math.ceil(n / abreast(wide)))) + 4;
      inRow.forEach((_, i) => boxes.push({ x: i * (wide + GAP), y, width: wide, height }));
      y += height + GAP;
    }
  }
  return { boxes, height: y - GAP };
}

/** Where each person stands, [x, y] by person, in an hour: in rows inside their place, who talk side by side. */
function positions(film, boxes, hour) {
  const { at, talks } = film.frames[hour], inside = boxes.map(() => 0), spots = [];
  for (const i of new Set([...talks.flatMap(([a, b]) => [a, b]), ...at.keys()])) {
    const { x, y, width } = boxes[at[i]], n = inside[at[i]]++, columns = abreast(width);
    spots[i] = [x + 4 + STEP / 2 + (n % columns) * STEP, y + HEAD + STEP / 2 + Math.floor(n / columns) * STEP];
  }
  return spots;
}

function draw(canvas, film, boxes, hour, spots, arrived) {
  const pen = canvas.getContext("2d"), { color: ink, backgroundColor: paper } = getComputedStyle(canvas);
  pen.setTransform(2, 0, 0, 2, 0, 0); // two dots to a pixel: sharp on dense screens
  pen.fillStyle = paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textAlign = "left";
  pen.font = "13px sans-serif";
  boxes.forEach(({ x, y, width, height }, place) => {
    pen.fillStyle = place < film.public ? BLUE : ink; // homes are grey
    pen.globalAlpha = 0.09;
    pen.beginPath();
    pen.roundRect(x, y, width, height, 6);
    pen.fill();
    pen.globalAlpha = 1;
    pen.fillStyle = ink;
    pen.fillText(film.places[place], x + 6, y + 17, width - 10);
  });
  const { talks, knows, asleep } = film.frames[hour];
  for (const [a, b, news] of arrived ? talks : []) {
    pen.strokeStyle = news ? ORANGE : ink;
    pen.lineWidth = news ? 5 : 2;
    pen.beginPath();
    pen.moveTo(...spots[a]);
    pen.quadraticCurveTo((spots[a][0] + spots[b][0]) / 2, Math.min(spots[a][1], spots[b][1]) - 32, ...spots[b]);
    pen.stroke();
  }
  pen.textAlign = "center";
  pen.font = "11px sans-serif";
  spots.forEach(([x, y], i) => {
    const [first, second] = [0, 1].map((f) => knows[f]?.includes(i)); // knows the first, the second piece of news
    pen.globalAlpha = asleep.includes(i) ? 0.45 : 1;
    pen.fillStyle = second ? ORANGE : paper;
    pen.strokeStyle = first ? BLUE : ink;
    pen.lineWidth = first ? 4 : 1;
    pen.beginPath();
    pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.fillStyle = second ? "#000" : ink;
    pen.fillText(film.names[i].split(" ").map((part) => part[0]).join(""), x, y + 4);
    pen.globalAlpha = 1;
  });
}

function render({ model, el }) {
  const film = model.get("film"), last = film.frames.length - 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  el.innerHTML = `
    <div class="town-map jupyter-widgets" style="max-width: ${WIDEST}px">
      <canvas role="img" style="display: block; width: 100%; color: var(--jp-ui-font-color1, #222);
        background: var(--jp-layout-color1, #fff)"></canvas>
      <div style="display: flex; flex-wrap: wrap; gap: .5em 1em; align-items: center; margin-top: .5em">
        <button type="button" style="min-width: 5em"></button>
        <label style="flex: 1 1 12em; display: flex; gap: .5em">hour
          <input type="range" min="0" max="${last}" step="1" style="flex: 1; min-width: 0"></label>
        <output style="min-width: 9em"></output>
      </div>
      <p style="min-height: 4.5em"><strong></strong></p>
      <p></p>
      <details><summary>Who is where, in words</summary><ul></ul></details>
    </div>`;
  const canvas = el.querySelector("canvas"), slider = el.querySelector("input"), button = el.querySelector("button");
  const [said, key] = el.querySelectorAll("p"), list = el.querySelector("ul"), output = el.querySelector("output");
  // JupyterLab looks for its own keys first at what has the focus: only a mark there, no further out, keeps them off.
  for (const control of [slider, button]) control.dataset.lmSuppressShortcuts = "true";
  const marks = ["a blue ring knows of ", "an orange disc of "].slice(0, film.facts.length).map((mark, i) => mark + film.facts[i]);
  key.textContent = marks.length
    ? `${marks.join(", ").replace("a", "A")}. A line is a talk, a thick orange one told news. Pale: asleep.` : "A line is a talk.";
  let hour = model.get("hour"), boxes = [], spots = [], timer = 0, request = 0;

  function fit() {
    const plan = layout(film, Math.max(240, Math.min(WIDEST, canvas.clientWidth)));
    canvas.width = 2 * Math.max(240, canvas.clientWidth);
    canvas.height = 2 * plan.height;
    boxes = plan.boxes;
    spots = positions(film, boxes, hour);
    cancelAnimationFrame(request);
    draw(canvas, film, boxes, hour, spots, true);
  }
  function show(next) {
    const from = spots, to = positions(film, boxes, next), frame = film.frames[next], begin = performance.now();
    hour = next;
    spots = to;
    slider.value = next;
    slider.setAttribute("aria-valuetext", frame.clock);
    output.textContent = frame.clock;
    said.firstElementChild.textContent = frame.sentence;
    canvas.setAttribute("aria-label", frame.sentence);
    list.replaceChildren(...frame.where.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    cancelAnimationFrame(request);
    const move = (now) => {
      const share = still ? 1 : Math.min(1, Math.max(0, (now - begin) / MOVE)), ease = share * share * (3 - 2 * share);
      const between = to.map(([x, y], i) => [from[i][0] + (x - from[i][0]) * ease, from[i][1] + (y - from[i][1]) * ease]);
      draw(canvas, film, boxes, next, between, share === 1);
      if (share < 1) request = requestAnimationFrame(move);
    };
    move(begin);
  }
  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => (hour < last ? show(hour + 1) : play(false)), PAUSE) : 0;
    button.textContent = on ? "Pause" : "Play";
  }
  slider.addEventListener("input", () => { play(false); show(Number(slider.value)); });
  slider.addEventListener("change", () => { model.set("hour", hour); model.save_changes(); });
  button.addEventListener("click", () => {
    const on = !timer;
    play(on);
    if (on) show(hour === last ? 0 : hour + 1);
  });
  play(false);
  fit();
  show(hour);
  const watcher = new ResizeObserver(() => { if (2 * canvas.clientWidth !== canvas.width && canvas.clientWidth) fit(); });
  watcher.observe(canvas);
  return () => { clearInterval(timer); cancelAnimationFrame(request); watcher.disconnect(); };
}

export default { render };
