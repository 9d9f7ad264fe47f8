//! JUnit XML, which every CI shows.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use crate::escape;

/// A group of test cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suite {
    /// What they are about.
    pub name: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// One thing that holds or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// In words.
    pub name: String,
    /// The file it is from, and the line.
    pub at: (String, Option<usize>),
    /// What was found instead, in a line and at length; `None` if it holds.
    pub failure: Option<(String, String)>,
}

/// Writes a report.
pub fn junit(suites: &[Suite]) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let failed = |suite: &Suite| suite.cases.iter().filter(|case| case.failure.is_some()).count();
    let tests: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failures: usize = suites.iter().map(failed).sum();
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (tests, failures) = (tests.to_string(), failures.to_string());
    let counts = [("name", "sgreplay"), ("tests", &tests), ("failures", &failures)];
    let top = writer.create_element("testsuites").with_attributes(counts);
    top.write_inner_content(|writer| {
        for suite in suites {
            let (tests, failures) = (suite.cases.len().to_string(), failed(suite).to_string());
            let name = escape::line(&suite.name);
            let counts = [
                ("name", &*name),
                ("tests", &tests),
                ("failures", &failures),
                ("errors", "0"),
                ("skipped", "0"),
            ];
            let element = writer.create_element("testsuite").with_attributes(counts);
            element.write_inner_content(|writer| {
                suite.cases.iter().try_for_each(|of| case(writer, &suite.name, of))
            })?;
        }
        Ok(())
    })?;
    let mut text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
    text.push('\n');
    Ok(text)
}

fn case(writer: &mut Writer<Vec<u8>>, suite: &str, case: &Case) -> io::Result<()> {
    // XML has no way to say some of the characters, and a CI's log shows the rest.
    let (name, class, file) =
        (escape::line(&case.name), escape::line(suite), escape::line(&case.at.0));
    let line = case.at.1.map(|line| line.to_string());
    let mut element = writer.create_element("testcase").with_attributes([
        ("name", &*name),
        ("classname", &*class),
        ("file", &*file),
    ]);
    if let Some(line) = &line {
        element = element.with_attribute(("line", line.as_str()));
    }
    let Some((message, text)) = &case.failure else {
        element.write_empty()?;
        return Ok(());
    };
    element.write_inner_content(|writer| {
        let message = escape::line(message);
        let failure = writer
            .create_element("failure")
            .with_attributes([("message", &*message), ("type", "failure")]);
        failure.write_text_content(BytesText::new(&escape::lines(text)))?;
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_xml() {
        let case = Case {
            name: "a < \"b\" & \u{1}".to_owned(),
            at: ("x.yaml".to_owned(), Some(3)),
            failure: Some(("<&>".to_owned(), "]]>\n\"".to_owned())),
        };
        let suite = Suite { name: "s".to_owned(), cases: vec![case] };
        let text = junit(&[suite]).unwrap();
        assert!(text.contains("name=\"a &lt; &quot;b&quot; &amp; \\u{1}\""), "{text}");
        assert!(text.contains("]]&gt;"), "{text}");
        let mut reader = quick_xml::Reader::from_str(&text);
        loop {
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(error) => panic!("{error}: {text}"),
            }
        }
    }
}
