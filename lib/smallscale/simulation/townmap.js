// The town map: draws one hour of the film that explorer.py made, on a canvas, and says
// the same in words below it. All of the film is here, so the slider needs no kernel.
// Colours are Okabe and Ito's; shape says what colour says.

const RADIUS = 13; // pixels, as are the next four
const STEP = 32; // from one person to the next
const HEAD = 28; // of a place, for its name
const GAP = 8; // between places
const WIDEST = 1000;
const NARROWEST_PUBLIC = 150; // of a public place, and of a home
const NARROWEST_HOME = 100;
const MOVE = 350; // milliseconds that people walk
const PAUSE = 900; // milliseconds between hours, while it plays
const BLUE = "#0072B2";
const ORANGE = "#E69F00";
const KEEPS_ITS_KEYS = "lmSuppressShortcuts";

/** How many people stand side by side: an even number, so that no pair is parted. */
function abreast(width) {
  return Math.max(2, Math.floor((width - 8) / STEP / 2) * 2);
}

/** The largest number of people that each place ever holds. */
function crowds(film) {
  return film.places.map((_, place) => {
    const counts = film.frames.map(({ at }) => at.filter((p) => p === place).length);
    return Math.max(...counts);
  });
}

/** A box {x, y, width, height} for each place, and the height of all of them.
 *
 * There are as many columns as fit, and each row is as high as is ever needed.
 */
function layout(film, width) {
  const most = crowds(film);
  const boxes = [];
  const groups = [
    { first: 0, end: film.public, least: NARROWEST_PUBLIC },
    { first: film.public, end: film.places.length, least: NARROWEST_HOME },
  ];
  let y = 0;
  for (const { first, end, least } of groups) {
    const fitting = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    const rows = Math.ceil((end - first) / fitting);
    const columns = Math.ceil((end - first) / rows);
    const wide = (width - GAP * (columns - 1)) / columns;
    for (let start = first; start < end; start += columns) {
      const inRow = most.slice(start, Math.min(start + columns, end));
      const lines = inRow.map((people) => Math.ceil(people / abreast(wide)));
      const height = HEAD + STEP * Math.max(1, ...lines) + 4;
      inRow.forEach((_, i) => {
        boxes.push({ x: i * (wide + GAP), y, width: wide, height });
      });
      y += height + GAP;
    }
  }
  return { boxes, height: y - GAP };
}

/** Where each person stands in an hour, [x, y] by person.
 *
 * People stand in rows inside their place; those who talk come first, side by side.
 */
function positions(film, boxes, hour) {
  const { at, talks } = film.frames[hour];
  const inside = boxes.map(() => 0);
  const spots = [];
  const talkers = talks.flatMap(([a, b]) => [a, b]);
  for (const person of new Set([...talkers, ...at.keys()])) {
    const { x, y, width } = boxes[at[person]];
    const n = inside[at[person]]++;
    const columns = abreast(width);
    spots[person] = [
      x + 4 + STEP / 2 + (n % columns) * STEP,
      y + HEAD + STEP / 2 + Math.floor(n / columns) * STEP,
    ];
  }
  return spots;
}

function draw(canvas, film, boxes, hour, spots, arrived) {
  const pen = canvas.getContext("2d");
  const { color: ink, backgroundColor: paper } = getComputedStyle(canvas);
  const frame = film.frames[hour];
  pen.setTransform(2, 0, 0, 2, 0, 0); // two dots to a pixel: sharp on dense screens
  pen.fillStyle = paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  drawPlaces(pen, film, boxes, ink);
  if (arrived) drawTalks(pen, frame, spots, ink);
  drawPeople(pen, film, frame, spots, ink, paper);
}

function drawPlaces(pen, film, boxes, ink) {
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
}

function drawTalks(pen, { talks }, spots, ink) {
  for (const [a, b, news] of talks) {
    const [ax, ay] = spots[a];
    const [bx, by] = spots[b];
    pen.strokeStyle = news ? ORANGE : ink;
    pen.lineWidth = news ? 5 : 2;
    pen.beginPath();
    pen.moveTo(ax, ay);
    pen.quadraticCurveTo((ax + bx) / 2, Math.min(ay, by) - 32, bx, by);
    pen.stroke();
  }
}

function drawPeople(pen, film, { knows, asleep }, spots, ink, paper) {
  pen.textAlign = "center";
  pen.font = "11px sans-serif";
  spots.forEach(([x, y], person) => {
    const knowsFirst = knows[0]?.includes(person); // the first piece of news
    const knowsSecond = knows[1]?.includes(person);
    pen.globalAlpha = asleep.includes(person) ? 0.45 : 1;
    pen.fillStyle = knowsSecond ? ORANGE : paper;
    pen.strokeStyle = knowsFirst ? BLUE : ink;
    pen.lineWidth = knowsFirst ? 4 : 1;
    pen.beginPath();
    pen.arc(x, y, RADIUS, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.fillStyle = knowsSecond ? "#000" : ink;
    pen.fillText(initials(film.names[person]), x, y + 4);
    pen.globalAlpha = 1;
  });
}

function initials(name) {
  return name.split(" ").map((part) => part[0]).join("");
}

/** What the colours and lines mean, in words. */
function legend(film) {
  const marks = ["a blue ring knows of ", "an orange disc of "];
  const facts = marks
    .slice(0, film.facts.length)
    .map((mark, i) => mark + film.facts[i]);
  if (facts.length === 0) return "A line is a talk.";
  const rings = facts.join(", ").replace("a", "A");
  return `${rings}. A line is a talk, a thick orange one told news. Pale: asleep.`;
}

function page(last) {
  return `
    <div class="town-map jupyter-widgets" style="max-width: ${WIDEST}px">
      <canvas role="img" style="display: block; width: 100%;
        color: var(--jp-ui-font-color1, #222);
        background: var(--jp-layout-color1, #fff)"></canvas>
      <div style="display: flex; flex-wrap: wrap; gap: .5em 1em;
        align-items: center; margin-top: .5em">
        <button type="button" style="min-width: 5em"></button>
        <label style="flex: 1 1 12em; display: flex; gap: .5em">hour
          <input type="range" min="0" max="${last}" step="1"
            style="flex: 1; min-width: 0"></label>
        <output style="min-width: 9em"></output>
      </div>
      <p style="min-height: 4.5em"><strong></strong></p>
      <p></p>
      <details><summary>Who is where, in words</summary><ul></ul></details>
    </div>`;
}

function render({ model, el }) {
  const film = model.get("film");
  const last = film.frames.length - 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  el.innerHTML = page(last);
  const canvas = el.querySelector("canvas");
  const slider = el.querySelector("input");
  const button = el.querySelector("button");
  const output = el.querySelector("output");
  const list = el.querySelector("ul");
  const [said, key] = el.querySelectorAll("p");
  // JupyterLab looks for its own keys at what has the focus: a mark there, and no
  // further out, keeps them off.
  for (const control of [slider, button]) control.dataset[KEEPS_ITS_KEYS] = "true";
  key.textContent = legend(film);
  let hour = model.get("hour");
  let boxes = [];
  let spots = [];
  let timer = 0;
  let request = 0;

  function fit() {
    const width = Math.max(240, canvas.clientWidth);
    const plan = layout(film, Math.min(WIDEST, width));
    canvas.width = 2 * width;
    canvas.height = 2 * plan.height;
    boxes = plan.boxes;
    spots = positions(film, boxes, hour);
    cancelAnimationFrame(request);
    draw(canvas, film, boxes, hour, spots, true);
  }

  function say({ clock, sentence, where }) {
    slider.setAttribute("aria-valuetext", clock);
    output.textContent = clock;
    said.firstElementChild.textContent = sentence;
    canvas.setAttribute("aria-label", sentence);
    const lines = where.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    });
    list.replaceChildren(...lines);
  }

  function show(next) {
    const from = spots;
    const to = positions(film, boxes, next);
    const begin = performance.now();
    hour = next;
    spots = to;
    slider.value = next;
    say(film.frames[next]);
    cancelAnimationFrame(request);
    const move = (now) => {
      const walked = Math.min(1, Math.max(0, (now - begin) / MOVE));
      const share = still ? 1 : walked;
      const ease = share * share * (3 - 2 * share);
      const between = to.map(([x, y], person) => {
        const [fromX, fromY] = from[person];
        return [fromX + (x - fromX) * ease, fromY + (y - fromY) * ease];
      });
      draw(canvas, film, boxes, next, between, share === 1);
      if (share < 1) request = requestAnimationFrame(move);
    };
    move(begin);
  }

  function play(on) {
    clearInterval(timer);
    const onward = () => (hour < last ? show(hour + 1) : play(false));
    timer = on ? setInterval(onward, PAUSE) : 0;
    button.textContent = on ? "Pause" : "Play";
  }

  slider.addEventListener("input", () => {
    play(false);
    show(Number(slider.value));
  });
  slider.addEventListener("change", () => {
    model.set("hour", hour);
    model.save_changes();
  });
  button.addEventListener("click", () => {
    const on = !timer;
    play(on);
    if (on) show(hour === last ? 0 : hour + 1);
  });
  play(false);
  fit();
  show(hour);
  const watcher = new ResizeObserver(() => {
    if (canvas.clientWidth && 2 * canvas.clientWidth !== canvas.width) fit();
  });
  watcher.observe(canvas);
  return () => {
    clearInterval(timer);
    cancelAnimationFrame(request);
    watcher.disconnect();
  };
}

export default { render };
