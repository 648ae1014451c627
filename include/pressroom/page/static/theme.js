// The theme before the first paint: Airflow's choice where there is one, else the system's.
(function () {
  "use strict";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function apply() {
    let chosen = null;
    try {
      chosen = window.localStorage.getItem("theme");
    } catch {
      // Storage can be forbidden; the system's choice counts then.
    }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  }
  apply();
  system.addEventListener("change", apply);
  // Airflow's own page, around this one or in another tab, has changed it.
  window.addEventListener("storage", apply);
})();
