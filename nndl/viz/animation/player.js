(() => {
  "use strict";
  const WORDS = {
    en: {
      play: "Play",
      pause: "Pause",
      slider: "Step",
      step: (k, n) => `step ${k} of ${n}`,
      left: (k) => `leaves at step ${k}`,
      broken: (k) => `non-finite at step ${k}`,
    },
    zh: {
      play: "播放",
      pause: "暂停",
      slider: "步数",
      step: (k, n) => `第 ${k} 步，共 ${n} 步`,
      left: (k) => `第 ${k} 步离开画面`,
      broken: (k) => `第 ${k} 步出现非有限值`,
    },
  };
  // The player fills its box from its own data and touches nothing else on the page.
  for (const root of document.querySelectorAll(".nndl-player:not([data-ready])")) {
    root.dataset.ready = "";
    start(root, JSON.parse(root.querySelector("script[type='application/json']").textContent));
  }

  function start(root, scene) {
    const lang = (root.closest("[lang]") || document.documentElement).lang.toLowerCase();
    const language = lang.startsWith("zh") ? "zh" : "en";
    const words = WORDS[language];
    const [canvas, button, slider, counter, list] = ["canvas", "button", "input", "span", "ul"].map(
      (name) => root.querySelector(name),
    );
    const context = canvas.getContext("2d");
    const [width, height] = scene.size;
    for (const trail of scene.trails) trail.pixels = points(trail.moves);
    const values = scene.trails.map((trail) => {
      const item = document.createElement("li");
      const swatch = document.createElement("i");
      swatch.style.borderTopColor = trail.color;
      if (trail.dash.length) swatch.style.borderTopStyle = "dashed";
      const text = document.createElement("span");
      item.append(swatch, text);
      list.append(item);
      return text;
    });
    let clock = null;

    canvas.setAttribute("aria-label", scene.alt[language]);
    slider.setAttribute("aria-label", words.slider);
    const background = new Image();
    background.onload = draw;
    background.src = scene.background;
    slider.addEventListener("input", () => {
      stop();
      draw();
    });
    button.addEventListener("click", () => (clock === null ? play() : stop()));
    stop();
    draw();

    // Moves are differences of x and y in turn, in quarters of a pixel.
    function points(moves) {
      let [x, y] = [0, 0];
      const found = [];
      for (let k = 0; k < moves.length; k += 2) {
        x += moves[k] / 4;
        y += moves[k + 1] / 4;
        found.push([x, y]);
      }
      return found;
    }

    function play() {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      // Without motion: a dozen still pictures, half a second each.
      const stride = calm ? Math.max(1, Math.ceil(scene.steps / 12)) : 1;
      const interval = calm ? 500 : scene.interval;
      if (Number(slider.value) >= scene.steps) slider.value = 0;
      const first = Number(slider.value);
      let begin = null;
      label(true);
      draw();
      clock = requestAnimationFrame(function tick(now) {
        begin = begin === null ? now : begin;
        const step = first + stride * Math.floor((now - begin) / interval);
        if (Math.min(step, scene.steps) !== Number(slider.value)) {
          slider.value = Math.min(step, scene.steps);
          draw();
        }
        if (step >= scene.steps || !root.isConnected) stop();
        else clock = requestAnimationFrame(tick);
      });
    }

    function stop() {
      if (clock !== null) cancelAnimationFrame(clock);
      clock = null;
      label(false);
    }

    function label(playing) {
      button.textContent = playing ? "❚❚" : "▶";
      button.setAttribute("aria-label", playing ? words.pause : words.play);
    }

    function draw() {
      const step = Number(slider.value);
      context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
      context.clearRect(0, 0, width, height);
      if (background.complete) context.drawImage(background, 0, 0, width, height);
      scene.trails.forEach((trail) => line(trail, Math.min(step, trail.pixels.length - 1)));
      scene.trails.forEach((trail) => marks(trail, step));
      scene.trails.forEach((trail, k) => {
        values[k].textContent = `${trail.label}: ${value(trail, step)}`;
      });
      counter.textContent = words.step(step, scene.steps);
      slider.setAttribute("aria-valuetext", counter.textContent);
    }

    function value(trail, step) {
      if (trail.broken !== null && step >= trail.broken) return words.broken(trail.broken);
      const loss = trail.losses[Math.min(step, trail.losses.length - 1)];
      const size = Math.abs(loss);
      const plain = size === 0 || (size >= 1e-3 && size < 1e5);
      const number = plain ? String(Number(loss.toPrecision(3))) : loss.toExponential(1);
      const gone = trail.left !== null && step >= trail.left;
      return `f = ${number.replace(/-/g, "−")}` + (gone ? ` (${words.left(trail.left)})` : "");
    }

    function line(trail, end) {
      context.beginPath();
      trail.pixels.slice(0, end + 1).forEach(([x, y]) => context.lineTo(x, y));
      context.lineJoin = "round";
      context.setLineDash(trail.dash);
      context.lineWidth = 2.6;
      context.strokeStyle = trail.color;
      context.stroke();
      context.setLineDash([]);
    }

    function marks(trail, step) {
      const gone = trail.left !== null && step >= trail.left;
      const [x, y] = trail.pixels[Math.min(step, trail.pixels.length - 1)];
      context.lineWidth = 2;
      context.beginPath();
      context.arc(...trail.pixels[0], 5, 0, 2 * Math.PI);
      context.fillStyle = "#fff";
      context.fill();
      context.strokeStyle = trail.color;
      context.stroke();
      context.beginPath();
      if (gone) {
        context.lineWidth = 3;
        context.moveTo(x - 6, y - 6);
        context.lineTo(x + 6, y + 6);
        context.moveTo(x - 6, y + 6);
        context.lineTo(x + 6, y - 6);
        context.strokeStyle = trail.color;
      } else {
        trail.marker.forEach(([dx, dy]) => context.lineTo(x + 12 * dx, y - 12 * dy));
        context.closePath();
        context.fillStyle = trail.color;
        context.fill();
        context.strokeStyle = "#fff";
        context.lineWidth = 1.2;
      }
      context.stroke();
    }
  }
})();
