// The screen was locked, or somebody signed out: the other tabs of this browser follow at once (see shell.js).

localStorage.setItem("tetkik-left", String(Date.now()));
