/// Nothing to say: the page is already there.
pub(crate) fn say_not_found() {}
