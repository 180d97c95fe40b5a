/** Light or dark: as the reader chose on this page, else as the system does. It runs before anything is drawn. */
(() => {
  const key = "graftcam-theme";
  const root = document.documentElement;
  const dark = () => root.dataset.theme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  try {
    const chosen = localStorage.getItem(key);
    if (chosen) root.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden: then the choice lasts as long as the page.
  }
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => (button.ariaPressed = dark());
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem(key, root.dataset.theme);
      } catch {
        // See above.
      }
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
  });
})();
