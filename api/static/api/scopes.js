// Ticks a scope that was added in the popup of the +. Django's script adds to selects only.
const dismiss = window.dismissAddRelatedObjectPopup;
window.dismissAddRelatedObjectPopup = (popup, id, name) => {
  const field = popup.name.replace(/__\d+$/, "");
  const boxes = document.querySelector(`.scopes > #${CSS.escape(field)}`);
  if (boxes) {
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", name: field.replace(/^id_/, ""), value: id, checked: true });
    const label = document.createElement("label");
    label.append(box, ` ${name}`);
    boxes.appendChild(document.createElement("div")).append(label);
  }
  dismiss(popup, id, name);
};
