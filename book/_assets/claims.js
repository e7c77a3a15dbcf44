// The filter of the table of statements. What is chosen stands in the address (#part=2&verdict=false), so
// that it can be linked and survives a reload; an address that names a row shows all of them.
(function () {
  const filter = document.querySelector(".claims-filter");
  if (!filter) return;
  const count = filter.querySelector(".claims-count");
  const groups = [...filter.querySelectorAll("[data-group]")];
  const bodies = [...document.querySelectorAll("table.claims tbody")];

  // Hide what was not chosen, a document without a row among it, and say how many rows are left.
  function show(chosen) {
    let shown = 0;
    for (const body of bodies) {
      const rows = [...body.querySelectorAll("tr[id]")];
      for (const row of rows) {
        row.hidden = groups.some(({ dataset: { group } }) =>
          chosen.has(group) && chosen.get(group) !== row.dataset[group]);
      }
      const left = rows.filter((row) => !row.hidden).length;
      body.hidden = left === 0;
      shown += left;
    }
    count.textContent = count.dataset.template.replace("{shown}", shown);
  }

  function fromControls() {
    const chosen = new URLSearchParams();
    for (const group of groups) {
      const { value } = group.querySelector(":checked");
      if (value) chosen.set(group.dataset.group, value);
    }
    const { pathname, search } = location;
    history.replaceState(null, "", `${chosen}` ? `#${chosen}` : pathname + search);
    show(chosen);
  }

  function fromAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    const chosen = new URLSearchParams();
    for (const group of groups) {
      const name = group.dataset.group;
      const choices = [...group.querySelectorAll("input")];
      const choice = choices.find(({ value }) => value === asked.get(name)) || choices[0];
      choice.checked = true;
      if (choice.value) chosen.set(name, choice.value);
    }
    show(chosen);
  }

  filter.addEventListener("change", fromControls);
  window.addEventListener("hashchange", fromAddress);
  filter.hidden = false;
  fromAddress();
})();
