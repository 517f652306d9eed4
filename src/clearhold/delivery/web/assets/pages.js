// What the pages do: send forms to the hub's API, and talk to the browser's authenticator.
const csrf = document.querySelector("meta[name=csrf]").content;
const problem = document.querySelector("#problem");
const shown = document.querySelector("#shown");

class Refused extends Error {}

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (csrf) headers["X-Clearhold-Csrf"] = csrf;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const value = await answer.json();
  if (answer.ok) return value;
  if (value.code === "step_up") {
    const here = location.pathname + location.search;
    location.assign("/confirm?next=" + encodeURIComponent(here));
  }
  throw new Refused(`${value.title} ${value.next_step}`);
}

function fieldsOf(form) {
  const fields = {};
  for (const [name, value] of new FormData(form)) {
    const type = form.elements[name].type;
    fields[name] = type === "number" ? Number(value) : value.trim();
  }
  return fields;
}

async function withPasskey(form, fields) {
  const asked = JSON.parse((await call(form.dataset.options, fields)).options);
  const credential = form.dataset.passkey === "create"
    ? await navigator.credentials.create({
        publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked),
      })
    : await navigator.credentials.get({
        publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked),
      });
  const answer = { credential: credential.toJSON() };
  if (fields.name) answer.name = fields.name;
  return call(form.dataset.post, answer);
}

function follow(form, value) {
  if (value.address) return location.assign(value.address);
  const secret = form.dataset.shows && value[form.dataset.shows];
  if (secret) {
    shown.querySelector("output").textContent = secret;
    shown.hidden = false;
    return shown.focus();
  }
  return form.dataset.next ? location.assign(form.dataset.next) : location.reload();
}

async function send(form) {
  problem.textContent = "";
  const fields = fieldsOf(form);
  const value = form.dataset.passkey
    ? await withPasskey(form, fields)
    : await call(form.dataset.post, fields);
  follow(form, value);
}

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button");
    for (const each of buttons) each.disabled = true;
    try {
      await send(form);
    } catch (error) {
      problem.textContent = error instanceof Refused
        ? error.message
        : "The passkey was not used. Try again, or use another one.";
    } finally {
      for (const each of buttons) each.disabled = false;
    }
  });
}
