// Elements without markup: text that comes from strangers is never taken for anything else.

export const byId = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export const fill = (parent, ...children) => parent.replaceChildren(...children);
