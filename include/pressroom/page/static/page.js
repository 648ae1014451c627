// What a page does beyond its HTML: times in the viewer's zone, updates where the stream of events fails, links
// to Airflow out of its frame, and the keys of the review. Every page works without it.
(function () {
  "use strict";

  // Times --------------------------------------------------------------------------------------------------

  function chosenZone() {
    try {
      // Airflow's UI keeps the zone that its user has chosen, as a JSON text.
      const kept = window.localStorage.getItem("timezone");
      return kept ? JSON.parse(kept) : undefined;
    } catch {
      return undefined;
    }
  }

  function format(zone, moment, withDay) {
    const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone };
    if (withDay) Object.assign(parts, { day: "numeric", month: "short" });
    if (withDay && moment.getFullYear() !== new Date().getFullYear()) parts.year = "numeric";
    return new Intl.DateTimeFormat("en-GB", parts).format(moment);
  }

  function dayOf(zone, moment) {
    return new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeZone: zone }).format(moment);
  }

  // In a calendar the day is that of the column; it is named only where the viewer's is another one.
  function shown(zone, moment, element) {
    return format(zone, moment, !element.dataset.day || element.dataset.day !== dayOf(zone, moment));
  }

  function localTimes(root) {
    let zone = chosenZone() || Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const element of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const moment = new Date(element.dateTime);
      try {
        element.textContent = shown(zone, moment, element);
      } catch {
        zone = "UTC";
        element.textContent = shown(zone, moment, element);
      }
      element.dataset.local = "";
      const other = element.dataset.zone;
      element.title = `${moment.toISOString().slice(0, 16).replace("T", " ")} UTC`;
      if (other && other !== zone && format(other, moment, true) !== format(zone, moment, true)) {
        const beside = document.createElement("span");
        beside.className = "soft";
        const name = element.dataset.day ? other.split("/").pop().replaceAll("_", " ") : other;
        beside.textContent = ` (${format(other, moment, false)} ${name})`;
        element.append(beside);
      }
    }
  }

  // Updates ------------------------------------------------------------------------------------------------

  const ACTIVE_SECONDS = 5;
  const IDLE_SECONDS = 30;
  let streaming = false;
  let looked = Date.now();

  function sayHow() {
    const place = document.getElementById("how-live");
    if (!place || !document.querySelector('[hx-trigger*="refresh"]')) return;
    const active = document.querySelector("[data-active]") !== null;
    const seconds = active ? ACTIVE_SECONDS : IDLE_SECONDS;
    const text = streaming ? "Live" : `Every ${seconds} s`;
    if (place.textContent !== text) place.textContent = text;
    if (!streaming && Date.now() - looked >= seconds * 1000 && !document.hidden) {
      looked = Date.now();
      window.htmx.trigger(document.body, "refresh");
    }
  }

  document.addEventListener("htmx:sseOpen", () => {
    streaming = true;
    looked = Date.now();
    // What changed while there was no stream is caught up with.
    window.htmx.trigger(document.body, "refresh");
    sayHow();
  });
  document.addEventListener("htmx:sseError", () => { streaming = false; sayHow(); });
  document.addEventListener("htmx:sseClose", () => { streaming = false; sayHow(); });

  // What somebody is using is not replaced under their hands: the next update comes soon enough.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const target = event.detail.target;
    const asked = event.detail.requestConfig.triggeringEvent;
    const byItself = asked && (asked.type === "refresh" || asked.type.startsWith("sse:"));
    const used = target.querySelector(":popover-open, details[open], input:focus, select:focus, textarea:focus");
    // Nor by a refusal, such as that of too many calls: the next update tries again.
    if (byItself && (used || event.detail.xhr.status >= 400)) event.detail.shouldSwap = false;
  });

  // A log shows so many lines, the last ones, and stays at its end while its reader is there.
  function atEnd(log) {
    return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  }
  let followed = true;
  document.addEventListener("htmx:beforeSwap", () => {
    const log = document.getElementById("log");
    followed = log ? atEnd(log) : true;
  });
  function trimLog() {
    const log = document.getElementById("log");
    if (!log) return;
    const lines = log.querySelectorAll("li.line");
    const most = Number(log.dataset.lines);
    for (let n = 0; n < lines.length - most; n += 1) lines[n].remove();
    if (followed) log.scrollTop = log.scrollHeight;
  }

  // Links to Airflow ---------------------------------------------------------------------------------------

  // In Airflow's frame a link cannot leave it, but a link in the page around it can.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-airflow]");
    if (!link || window.parent === window || event.ctrlKey || event.metaKey) return;
    let outer;
    try {
      outer = window.parent.document;
    } catch {
      return;
    }
    event.preventDefault();
    const copy = outer.createElement("a");
    copy.href = link.href;
    outer.body.append(copy);
    copy.click();
    copy.remove();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  // Review by keyboard -------------------------------------------------------------------------------------

  const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    if (typing(event.target) || document.querySelector(":popover-open")) return;
    const chosen = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!chosen || chosen.disabled) return;
    event.preventDefault();
    chosen.click();
  });
  document.addEventListener("toggle", (event) => {
    if (event.newState !== "open") return;
    const first = event.target.querySelector("[data-first]");
    if (first) first.focus();
  }, true);
  // Settings and lists ---------------------------------------------------------------------------------------

  // What is wrong with a field is said beside it as one types; a screen reader hears it of the field itself.
  function markProblems() {
    for (const said of document.querySelectorAll("[data-problem-of]")) {
      const field = document.getElementById(said.dataset.problemOf);
      if (!field) continue;
      if (said.textContent) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }
  document.addEventListener("htmx:oobAfterSwap", markProblems);

  document.addEventListener("change", (event) => {
    const name = event.target.dataset.all;
    if (!name) return;
    for (const box of document.querySelectorAll(`input[name="${CSS.escape(name)}"]`)) box.checked = event.target.checked;
  });

  // A file is read here and sent as text of the form: its bytes tell in which encoding it is.
  const MOST_BYTES = 4000000;
  async function readInto(input, file) {
    const target = document.getElementById(input.dataset.into);
    input.setCustomValidity(file.size > MOST_BYTES ? "This file is larger than 4 MB: split it." : "");
    if (!input.reportValidity()) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    target.value = btoa(text);
    window.htmx.trigger(target.form, "submit");
  }
  document.addEventListener("change", (event) => {
    if (event.target.dataset.into && event.target.files.length) readInto(event.target, event.target.files[0]);
  });
  for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      const place = event.target.closest && event.target.closest("[data-drop]");
      if (!place) return;
      event.preventDefault();
      place.classList.toggle("over", kind === "dragenter" || kind === "dragover");
      const input = place.querySelector("[data-into]");
      if (kind === "drop" && event.dataTransfer.files.length) readInto(input, event.dataTransfer.files[0]);
    });
  }

  document.addEventListener("change", (event) => {
    if (event.target.id !== "choose-all") return;
    for (const box of document.querySelectorAll("input[name=piece]")) box.checked = event.target.checked;
  });

  function settle(root) {
    localTimes(root);
    trimLog();
    sayHow();
  }
  document.addEventListener("DOMContentLoaded", () => {
    settle(document);
    window.setInterval(sayHow, 1000);
  });
  document.addEventListener("htmx:afterSettle", () => settle(document));
})();
