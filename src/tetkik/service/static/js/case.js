import "./urgency.js";

// A dialog that comes back with a fault is open again, with what was typed.
document.querySelector("dialog[data-opens]")?.showModal();
