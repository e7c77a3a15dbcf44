// A formula wider than the screen scrolls in its own box. Where it does, the keyboard reaches it.
(function () {
  function update() {
    for (const box of document.querySelectorAll("mjx-container[display='true']")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }
  window.addEventListener("load", function () {
    if (!window.MathJax) return;
    window.MathJax.startup.promise.then(update);
    window.addEventListener("resize", update);
  });
})();
