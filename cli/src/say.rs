//! What goes to standard output and standard error. Whoever has closed them does not want to know; the work is done all the
//! same. What standard output could not take for another reason (a full disk) is the command's failure in the end.
use cni::{ErrorReply, Failure, Version};
use serde::Serialize;
use std::{
    io::{self, ErrorKind, Write as _},
    sync::OnceLock,
};

/// Why something could not be written to standard output, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A text as it is.
pub(crate) fn text(text: &str) {
    print(text.as_bytes());
}

/// What came from elsewhere, byte for byte.
pub(crate) fn bytes(bytes: &[u8]) {
    print(bytes);
}

/// JSON, indented by four as plugins and docker do.
pub(crate) fn json(value: &impl Serialize) {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    // Into memory, and with no key that is not a string: nothing here can fail.
    let _cannot_fail = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, indent));
    text.push(b'\n');
    print(&text);
}

/// One JSON object on a line of its own, for scripts.
pub(crate) fn json_line(value: &impl Serialize) {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    print(&text);
}

/// A failure, for a person: what, why, and on the next line what to do.
pub(crate) fn failure(failure: &dyn Failure) {
    let reply = ErrorReply::new(Version::LATEST.as_str(), failure);
    note(&reply.msg);
    if !reply.details.is_empty() {
        let _closed = writeln!(std::io::stderr(), "  {}", harmless(&reply.details));
    }
}

/// Without what would do something to a terminal: a message may have come from another program.
fn harmless(text: &str) -> String {
    text.replace(|character: char| character.is_control() && character != '\n', " ")
}

/// A line on standard error.
pub(crate) fn note(text: &str) {
    let _closed = writeln!(std::io::stderr(), "sealane: {}", harmless(text));
}

fn print(text: &[u8]) {
    let mut stdout = io::stdout().lock();
    wrote(stdout.write_all(text).and_then(|()| stdout.flush()));
}

/// Notes how something went that was written to standard output.
pub(crate) fn wrote(outcome: io::Result<()>) {
    // A standard output that was closed from the start takes everything, as the standard library has it.
    if let Some(cause) = outcome.err().filter(|cause| cause.kind() != ErrorKind::BrokenPipe) {
        let _not_the_first = LOST.set(cause);
    }
}

/// What was lost on the way to standard output.
pub(crate) fn lost() -> Option<&'static io::Error> {
    LOST.get()
}
