//! Reads server-sent events, as the HTML standard writes them: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

/// The longest line: an event of ours is some kilobytes.
const LINE_BYTES: usize = 8 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// Reads events from the pieces that a stream comes in.
#[derive(Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    after_cr: bool,
    event: Event,
    has_data: bool,
    id: Option<String>,
    last_id: Option<String>,
}

impl Events {
    /// Goes on behind the event with this id.
    pub(crate) fn after(last_id: Option<String>) -> Self {
        Self { id: last_id.clone(), last_id, ..Self::default() }
    }

    /// The id of the last event that was read whole, also when it had no data: where the stream goes on.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The events that are whole with these bytes; `None` when what comes is no stream of events.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Option<Vec<Event>> {
        let mut events = Vec::new();
        for &byte in bytes {
            // A line ends with CR, LF or both.
            let ends = match byte {
                b'\n' if self.after_cr => {
                    self.after_cr = false;
                    continue;
                }
                b'\n' | b'\r' => true,
                _ => false,
            };
            self.after_cr = byte == b'\r';
            if !ends {
                if self.line.len() == LINE_BYTES {
                    return None;
                }
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
            events.extend(self.line(&line));
        }
        Some(events)
    }

    /// Takes one line in; gives the event that it ends.
    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            self.last_id.clone_from(&self.id);
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_whatever_pieces_they_come_in() {
        let stream = "retry: 1000\nid: 7\n\n: alive\r\nid: 9\r\n\r\nevent: run\nid: 12\ndata: {\"a\":1}\n\ndata:x\ndata: y\n\n\
                      event: run\ndata: half";
        let expected = [("run", "{\"a\":1}"), ("", "x\ny")];
        for size in [1, 3, 1000] {
            let mut events = Events::after(Some("3".to_owned()));
            assert_eq!(events.last_id(), Some("3"));
            let mut found = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                found.extend(events.read(piece).unwrap());
            }
            let found: Vec<_> = found.iter().map(|event| (event.name.as_str(), event.data.as_str())).collect();
            assert_eq!(found, expected, "in pieces of {size}");
            assert_eq!(events.last_id(), Some("12"), "what is half is not counted");
        }
    }

    #[test]
    fn an_id_without_data_says_where_to_go_on() {
        let mut events = Events::default();
        assert_eq!(events.read(b": alive\nid: 41\n\n"), Some(Vec::new()));
        assert_eq!(events.last_id(), Some("41"));
        assert!(events.read(&vec![b'x'; LINE_BYTES + 1]).is_none());
    }
}
