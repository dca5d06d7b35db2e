use http::StatusCode;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// Makes the response a 200 or a 404; what is said last counts.
pub(crate) fn say_found(is_found: bool) {
    // Absent where routes are listed or a page is rendered in a test.
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(if is_found { StatusCode::OK } else { StatusCode::NOT_FOUND });
    }
}
