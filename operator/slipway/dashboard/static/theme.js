// Runs before the first paint: the theme that was chosen here last; "auto" is the system's.
"use strict";
{
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
