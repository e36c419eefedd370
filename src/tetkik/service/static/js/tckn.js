/** Two check digits (NVI): a mistyped number is shown before it is sent. @param {string} digits */
export function isTckn(digits) {
  if (!/^[1-9]\d{10}$/.test(digits)) return false;
  const d = [...digits].map(Number);
  const sum = (/** @type {number[]} */ places) => places.reduce((total, place) => total + d[place], 0);
  const tenth = (((7 * sum([0, 2, 4, 6, 8]) - sum([1, 3, 5, 7])) % 10) + 10) % 10;
  return d[9] === tenth && d[10] === sum([...Array(10).keys()]) % 10;
}
