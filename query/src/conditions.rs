//! The filters of `/v1/runs` outside of a URL: what a command line may say.

use agenttracer_index::Filter;
use agenttracer_model::Loc;

use crate::params;
use crate::query_string::QueryString;

/// The filter that these conditions ask for. Each is a name and a value of the query string of `/v1/runs`; a name that
/// stands there several times is met by any of its values.
///
/// Other than in a URL, what is no filter is an error: nobody should be given all runs for a name that was mistyped.
///
/// # Errors
/// A sentence that names the condition and says what is wrong with it.
pub fn filter_of(conditions: &[(String, String)]) -> Result<Filter, String> {
    for condition @ (name, _) in conditions {
        // A filter of that name alone changes something; anything else is no filter.
        if read(std::slice::from_ref(condition))? == Filter::default() {
            return Err(format!("`{name}` is no filter of runs, or its value is empty"));
        }
    }
    read(conditions)
}

fn read(conditions: &[(String, String)]) -> Result<Filter, String> {
    let text: Vec<_> = conditions.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    params::stats(&QueryString::new(&text.join("&"))).map_err(|errors| {
        let told = errors.iter().map(|error| match error.loc.last() {
            Some(Loc::Name(name)) => format!("{name}: {}", error.msg),
            _ => error.msg.clone(),
        });
        told.collect::<Vec<_>>().join("; ")
    })
}

fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use agenttracer_model::taxonomy::RunStatus;

    use super::*;

    fn ask(conditions: &[(&str, &str)]) -> Result<Filter, String> {
        let owned: Vec<_> = conditions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        filter_of(&owned)
    }

    #[test]
    fn conditions_are_those_of_the_query_string() {
        assert_eq!(ask(&[]), Ok(Filter::default()));
        let filter = ask(&[("agent_id", "a&b=c d"), ("agent_id", "e"), ("status", "failure")]).unwrap();
        assert_eq!(filter.agent_id, ["a&b=c d", "e"]);
        assert_eq!(filter.status, [RunStatus::Failure]);
        assert!(ask(&[("status", "bogus")]).unwrap().nothing);
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for name in ["agentid", "page", "view", ""] {
            assert!(ask(&[(name, "1")]).unwrap_err().starts_with(&format!("`{name}` is no filter")), "{name}");
        }
        assert!(ask(&[("agent_id", "")]).is_err());
        assert!(ask(&[("start_time", "yesterday")]).unwrap_err().starts_with("start_time: "));
    }
}
