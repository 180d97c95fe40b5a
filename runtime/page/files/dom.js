/** The page's elements by their ids, and `make`, which makes new ones. */

export const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((e) => [e.id, e]));

/**
 * Make an element.
 * @param {string} tag
 * @param {object} properties Of the element; `dataset` and those that begin with "aria-" or "role" as attributes.
 * @param {...(Node|string)} children
 */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
