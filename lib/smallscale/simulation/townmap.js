// The town map: draws one hour of the film that townmap.py made, on a canvas, and says the same in words below it.
// All of the film is here, so the slider needs no kernel. Colours are Okabe and Ito's; shape says what colour says.

const WIDTH = 1000, HEIGHT = 560, RADIUS = 13, STEP = 34, MOVE = 350; // canvas units; milliseconds between hours
const BLUE = "#0072B2", ORANGE = "#E69F00";

/** Where each person stands, [x, y] by person, in an hour: in rows inside their place, who talk side by side. */
function positions(film, hour) {
  const { at, talks } = film.frames[hour], inside = film.places.map(() => 0), spots = [];
  for (const i of new Set([...talks.flatMap(([a, b]) => [a, b]), ...at.keys()])) {
    const { x, y, width } = film.places[at[i]];
    const columns = Math.max(2, Math.floor(width / STEP / 2) * 2); // even: no pair is parted by the end of a row
    const n = inside[at[i]]++;
    spots[i] = [x + 4 + STEP / 2 + (n % columns) * STEP, y + 40 + Math.floor(n / columns) * STEP];
  }
  return spots;
}

function draw(canvas, film, hour, spots, arrived) {
  const scale = canvas.width / WIDTH, pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const ink = style.color, paper = style.backgroundColor;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = paper;
  pen.fillRect(0, 0, WIDTH, HEIGHT);
  pen.font = "13px sans-serif";
  for (const { name, x, y, width, height } of film.places) {
    pen.fillStyle = ink;
    pen.globalAlpha = 0.07;
    pen.fillRect(x, y, width, height);
    pen.globalAlpha = 1;
    pen.textAlign = "left";
    pen.fillText(name, x + 6, y + 16, width - 10);
  }
  const { talks, knows, asleep } = film.frames[hour];
  if (arrived) {
    for (const [a, b, news] of talks) {
      pen.strokeStyle = news ? ORANGE : ink;
      pen.lineWidth = news ? 5 : 2;
      pen.beginPath();
      pen.moveTo(...spots[a]);
      pen.quadraticCurveTo((spots[a][0] + spots[b][0]) / 2, Math.min(spots[a][1], spots[b][1]) - 34, ...spots[b]);
      pen.stroke();
    }
  }
  pen.lineWidth = 1;
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
    pen.textAlign = "center";
    pen.font = "11px sans-serif";
    pen.fillText(film.initials[i], x, y + 4);
    pen.globalAlpha = 1;
  });
}

function render({ model, el }) {
  const film = model.get("film"), last = film.frames.length - 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  el.innerHTML = `
    <div class="town-map jupyter-widgets" data-lm-suppress-shortcuts="true" style="max-width: ${WIDTH}px">
      <canvas role="img" style="width: 100%; color: var(--jp-ui-font-color1, #222);
        background: var(--jp-layout-color1, #fff)"></canvas>
      <div style="display: flex; gap: 1em; align-items: center">
        <button type="button" style="min-width: 5em"></button>
        <label style="flex: 1; display: flex; gap: .5em">hour
          <input type="range" min="0" max="${last}" step="1" style="flex: 1"></label>
        <output style="min-width: 9em"></output>
      </div>
      <p style="min-height: 4.5em"><strong></strong></p>
      <p></p>
      <details><summary>Who is where, in words</summary><ul></ul></details>
    </div>`;
  const canvas = el.querySelector("canvas"), slider = el.querySelector("input"), button = el.querySelector("button");
  const [said, key] = el.querySelectorAll("p"), list = el.querySelector("ul"), output = el.querySelector("output");
  canvas.width = 2 * WIDTH; // sharp on dense screens
  canvas.height = 2 * HEIGHT;
  key.textContent = film.key;
  let hour = model.get("hour"), spots = positions(film, hour), timer = 0, request = 0;

  function show(next) {
    const from = spots, to = positions(film, next), frame = film.frames[next], begin = performance.now();
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
      draw(canvas, film, next, to.map(([x, y], i) => [from[i][0] + (x - from[i][0]) * ease,
        from[i][1] + (y - from[i][1]) * ease]), share === 1);
      if (share < 1) request = requestAnimationFrame(move);
    };
    move(begin);
  }
  function play(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => (hour < last ? show(hour + 1) : play(false)), 900) : 0;
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
  show(hour);
  return () => { clearInterval(timer); cancelAnimationFrame(request); };
}

export default { render };
