use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

/// Makes the response a 404.
pub(crate) fn say_not_found() {
    // Absent where routes are listed or a page is rendered in a test.
    if let Some(response) = use_context::<ResponseOptions>() {
        response.set_status(http::StatusCode::NOT_FOUND);
    }
}
