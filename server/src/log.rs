//! What is logged.

use tracing_subscriber::EnvFilter;

/// Reads `RUST_LOG`; `info` if it says nothing.
pub(crate) fn filter(text: Option<&str>) -> Result<EnvFilter, String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("info");
    EnvFilter::try_new(text).map_err(|error| {
        format!(
            "RUST_LOG: `{text}` can't be used ({error}); expected levels such as `info`, or targets with levels such as \
             `info,leptos_directus=debug`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named_and_not_taken_for_the_default() {
        for wrong in ["leptos_directus=loud", "server=debug=info"] {
            let error = filter(Some(wrong)).unwrap_err();
            assert!(error.contains("RUST_LOG") && error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn what_is_not_said_is_info() {
        for nothing in [None, Some(""), Some(" ")] {
            assert_eq!(filter(nothing).unwrap().to_string(), "info");
        }
        assert_eq!(
            filter(Some("warn,server=debug")).unwrap().max_level_hint(),
            Some(tracing::level_filters::LevelFilter::DEBUG)
        );
    }
}
