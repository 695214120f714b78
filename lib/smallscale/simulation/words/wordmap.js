// The map of the town in words. All that people say or remember is put in as text
// (textContent), never as markup: a model wrote it.

const PAUSE = 1500; // milliseconds between hours, while it plays
const APART = 3; // pixels between bubbles
const DISC = 28; // pixels across, as in wordmap.html.j2

const film = JSON.parse(document.getElementById("film").textContent);
const last = film.frames.length - 1;
const map = document.getElementById("map");
const slider = document.getElementById("hour");
const clock = document.getElementById("clock");
const play = document.getElementById("play");
const said = document.getElementById("said");
const whose = document.getElementById("whose");
const stream = document.getElementById("stream");
let hour = 0;
let chosen = -1;
let timer = 0;

function element(tag, kind, text = "") {
  const made = document.createElement(tag);
  made.className = kind;
  made.textContent = text;
  return made;
}

function percent(share) {
  return `${100 * share}%`;
}

function initials(name) {
  return name.split(" ").map((part) => [...part][0]).join("");
}

for (const { name, x, y, width, height } of film.places) {
  const box = element("div", "place", name);
  box.style.left = percent(x);
  box.style.top = percent(y);
  box.style.width = percent(width);
  box.style.height = percent(height);
  map.append(box);
}

const tails = document.createElementNS("http://www.w3.org/2000/svg", "svg");
tails.setAttribute("aria-hidden", "true");
map.append(tails);

const people = film.names.map((name, i) => {
  const button = element("button", "person", initials(name));
  button.type = "button";
  button.setAttribute("aria-label", name);
  button.append(element("span", "name", name));
  button.addEventListener("click", () => choose(i));
  map.append(button);
  return button;
});
const bubbles = film.names.map(() => {
  const bubble = element("div", "bubble");
  bubble.setAttribute("aria-hidden", "true"); // the list below says it
  map.append(bubble);
  return bubble;
});

function show(next) {
  hour = next;
  const frame = film.frames[hour];
  slider.value = hour;
  slider.setAttribute("aria-valuetext", frame.hour);
  clock.textContent = frame.hour;
  const talks = [];
  frame.people.forEach(({ x, y, says }, i) => {
    const name = film.names[i];
    people[i].style.left = percent(x);
    people[i].style.top = percent(y);
    people[i].setAttribute("aria-label", says ? `${name} says: ${says}` : name);
    bubbles[i].textContent = says;
    bubbles[i].hidden = !says;
    if (says) {
      const item = element("li", "");
      item.append(element("strong", "", name), `: ${says}`);
      talks.push(item);
    }
  });
  said.replaceChildren(...(talks.length ? talks : [element("li", "", "Nobody speaks.")]));
  placeBubbles(frame);
  tell();
}

/** Offsets to try for a bubble, [right, down] in pixels, the nearest first. */
const OFFSETS = [];
for (let down = -220; down <= 220; down += 11) {
  for (let right = -240; right <= 240; right += 24) OFFSETS.push([right, down]);
}
OFFSETS.sort((a, b) => Math.hypot(...a) - Math.hypot(...b));

function meet(a, b) {
  return (
    a.left < b.left + b.width + APART &&
    b.left < a.left + a.width + APART &&
    a.top < b.top + b.height + APART &&
    b.top < a.top + a.height + APART
  );
}

/** Each bubble stands over its speaker, or as near as it hides nobody. */
function placeBubbles(frame) {
  const { clientWidth, clientHeight } = map;
  const discs = frame.people.map(({ x, y }) => ({
    left: x * clientWidth - DISC / 2,
    top: y * clientHeight - DISC / 2,
    width: DISC,
    height: DISC,
  }));
  const placed = [];
  const lines = [];
  frame.people.forEach(({ says }, i) => {
    if (!says) return;
    const width = bubbles[i].offsetWidth;
    const height = bubbles[i].offsetHeight;
    const speaker = discs[i];
    const spots = OFFSETS.map(([right, down]) => ({
      left: speaker.left + DISC / 2 - width / 2 + right,
      top: speaker.top - height - 8 + down,
      width,
      height,
    })).filter(
      ({ left, top }) =>
        left >= 0 && left + width <= clientWidth && top >= 0 && top + height <= clientHeight,
    );
    const apart = spots.filter((spot) => !placed.some((other) => meet(spot, other)));
    const best = apart.find((spot) => !discs.some((disc) => meet(spot, disc)));
    const spot = best ?? apart[0] ?? spots[0] ?? { left: 0, top: 0, width, height };
    placed.push(spot);
    bubbles[i].style.left = `${spot.left}px`;
    bubbles[i].style.top = `${spot.top}px`;
    lines.push(tail(spot, speaker));
  });
  tails.replaceChildren(...lines);
}

/** A line from a bubble to who speaks. */
function tail(bubble, speaker) {
  const line = document.createElementNS(tails.namespaceURI, "line");
  line.setAttribute("x1", bubble.left + bubble.width / 2);
  line.setAttribute("y1", bubble.top + bubble.height / 2);
  line.setAttribute("x2", speaker.left + DISC / 2);
  line.setAttribute("y2", speaker.top + DISC / 2);
  return line;
}

function choose(person) {
  chosen = person;
  people.forEach((button, i) => button.setAttribute("aria-pressed", i === person));
  tell();
}

/** Write what the chosen person remembers by now, the newest first. */
function tell() {
  if (chosen < 0) return;
  const numbers = film.frames[hour].people[chosen].stream;
  whose.textContent = `${film.names[chosen]} remembers, by ${film.frames[hour].hour}`;
  const items = numbers.map((n) => element("li", "", film.texts[n])).reverse();
  const nothing = element("li", "", "Nothing yet.");
  stream.replaceChildren(...(items.length ? items : [nothing]));
}

function playing(on) {
  clearInterval(timer);
  const onward = () => (hour < last ? show(hour + 1) : playing(false));
  timer = on ? setInterval(onward, PAUSE) : 0;
  play.textContent = on ? "Pause" : "Play";
}

slider.max = last;
slider.addEventListener("input", () => {
  playing(false);
  show(Number(slider.value));
});
play.addEventListener("click", () => {
  const on = !timer;
  playing(on);
  if (on) show(hour === last ? 0 : hour + 1);
});
new ResizeObserver(() => placeBubbles(film.frames[hour])).observe(map);
show(0);
