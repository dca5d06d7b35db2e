//! Points in time, written the same on the server and in every browser: no locale, no time zone but UTC.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `2026-11-24T07:15:00.000Z` as `24 Nov 2026, 07:15 UTC`. Text that is no such date comes back as it is.
///
/// ```
/// use app::date::format_date;
///
/// assert_eq!(format_date("2026-11-24T07:15:00.000Z"), "24 Nov 2026, 07:15 UTC");
/// assert_eq!(format_date("2026-11-04"), "4 Nov 2026");
/// assert_eq!(format_date("soon"), "soon");
/// ```
#[must_use]
pub fn format_date(iso: &str) -> String {
    parts(iso).unwrap_or_else(|| iso.to_owned())
}

fn parts(iso: &str) -> Option<String> {
    let year = iso.get(0..4).filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))?;
    let month = MONTHS.get(number(iso.get(4..7)?.strip_prefix('-')?)?.checked_sub(1)?)?;
    let day = number(iso.get(7..10)?.strip_prefix('-')?)?;
    let date = format!("{day} {month} {year}");
    match iso.get(10..) {
        Some("") => Some(date),
        Some(time) => {
            let (hour, minute) = (time.get(1..3)?, time.get(4..6)?);
            number(hour).and(number(minute))?;
            Some(format!("{date}, {hour}:{minute} UTC"))
        }
        None => None,
    }
}

fn number(digits: &str) -> Option<usize> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::format_date;

    #[track_caller]
    fn check(iso: &str, expected: &str) {
        assert_eq!(format_date(iso), expected);
    }

    #[test]
    fn dates_of_directus_are_written_for_people() {
        check("2026-11-24T07:15:00.000Z", "24 Nov 2026, 07:15 UTC");
        check("2026-01-02T23:59:59Z", "2 Jan 2026, 23:59 UTC");
        check("2026-12-31 00:00:00", "31 Dec 2026, 00:00 UTC");
        check("2026-11-24", "24 Nov 2026");
    }

    #[test]
    fn what_is_no_date_stays_as_it_is() {
        for text in
            ["", "now", "2026", "2026-13-01", "2026-00-01", "2026-11-2é", "2026-11-24T", "2026-11-24Tab:cd", "ünïcödé!"]
        {
            check(text, text);
        }
    }
}
