// Buttons that copy the text of another element; hidden without this script.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(source.textContent.trim());
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
// Forms that carry an answer to another site send themselves.
for (const form of document.querySelectorAll("form[data-send]")) form.submit();
// Forms that a passkey fills in; hidden without this script.
for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) break;
  const make = form.dataset.passkey === "create";
  const failed = form.querySelector("[data-failed]");
  let waiting;
  const ceremony = async (mediation) => {
    waiting?.abort();
    waiting = new AbortController();
    const { signal } = waiting;
    const answer = await fetch(form.dataset.options, { method: "POST", signal });
    if (!answer.ok) throw new Error("no challenge");
    const { publicKey } = await answer.json();
    const options = make
      ? { publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey), signal }
      : { publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey), signal };
    if (mediation) options.mediation = mediation;
    const credential = await navigator.credentials[make ? "create" : "get"](options);
    form.elements.credential.value = JSON.stringify(credential);
    if (form.elements.keep && document.getElementById("keep")?.checked) form.elements.keep.value = "true";
    form.submit();
  };
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.hidden = true;
    try { await ceremony(); } catch (e) { if (e.name !== "AbortError") failed.hidden = false; }
  });
  if ("autofill" in form.dataset && await PublicKeyCredential.isConditionalMediationAvailable?.()) {
    const offer = () => ceremony("conditional").catch(() => {});
    offer();
    setInterval(offer, 240000); // a challenge lives for five minutes
  }
}
