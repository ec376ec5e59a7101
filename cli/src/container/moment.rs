//! A point in time, as docker's words for people have it ("5 minutes ago") and as its JSON has it (RFC 3339).
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A point in time; as text, RFC 3339 in UTC with nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Moment(SystemTime);

impl Moment {
    /// This very one.
    pub(crate) fn now() -> Self {
        Self(SystemTime::now())
    }

    /// How long ago it was, for people: `About a minute`. What is yet to come is no time ago.
    pub(crate) fn age(self) -> String {
        spoken(SystemTime::now().duration_since(self.0).unwrap_or_default())
    }

    /// As `docker ps` prints it for scripts: `2026-05-01 12:00:00 +0000 UTC`.
    pub(crate) fn spelled_out(self) -> String {
        humantime::format_rfc3339_seconds(self.0).to_string().replace('T', " ").replace('Z', " +0000 UTC")
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_nanos(self.0).fmt(f)
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        moment.to_string()
    }
}

impl TryFrom<String> for Moment {
    type Error = humantime::TimestampError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        humantime::parse_rfc3339(&text).map(Self)
    }
}

/// A length of time in the one unit that fits, as docker rounds it.
fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds / MINUTE;
    let hours = (seconds + HOUR / 2) / HOUR;
    let days = seconds / DAY;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        _ if seconds < MINUTE => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_said_as_docker_says_it() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (HOUR, "About an hour"),
            (2 * HOUR, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY, "2 months"),
            (730 * DAY, "2 years"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(spoken(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_moment_is_read_back_as_it_was_written() {
        let moment = Moment(SystemTime::UNIX_EPOCH + Duration::from_millis(1_777_636_800_250));
        assert_eq!(moment.to_string(), "2026-05-01T12:00:00.250000000Z");
        assert_eq!(Moment::try_from(moment.to_string()).unwrap(), moment);
        assert_eq!(moment.spelled_out(), "2026-05-01 12:00:00 +0000 UTC");
    }
}
