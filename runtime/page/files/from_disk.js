/** Opened from a disk, a page may load no modules; this script is none, and says what helps. */
if (location.protocol === "file:") {
  addEventListener("DOMContentLoaded", () => {
    document.getElementById("notice-words").textContent =
      "Browsers run this page from a web server only. Start one beside it: python -m http.server, then open http://localhost:8000";
    document.getElementById("notice").hidden = false;
  });
}
