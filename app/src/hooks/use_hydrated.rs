use leptos::prelude::*;

/// `false` in the HTML and while it is hydrated, then `true`.
///
/// Controls that only a script can serve are disabled until then: nobody clicks into the void.
///
/// # Server-side rendering
/// Always `false`.
#[must_use]
pub fn use_hydrated() -> Signal<bool> {
    let hydrated = RwSignal::new(false);
    Effect::new(move |_| hydrated.set(true));
    hydrated.into()
}
