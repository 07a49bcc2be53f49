# An independent reader of headers, by regular expressions and line by line: prints each identifier (keywords too), or with
# -v want=includes the target of each #include. It knows no raw strings.
FNR == 1 { comment = goes_on = line_comment = 0 }
{
  text = $0
  begins = !goes_on
  if (line_comment && goes_on) text = ""
  line_comment = 0
  goes_on = $0 ~ /\\\r?$/
  if (text == "" && goes_on) line_comment = 1
  while (text != "") {
    if (comment) {
      end = index(text, "*/")
      if (!end) break
      text = substr(text, end + 2)
      comment = 0
    } else if (match(text, /^[ \t\r\v\f]+/)) text = substr(text, RLENGTH + 1)
    else if (substr(text, 1, 2) == "/*") { comment = 1; text = substr(text, 3) }
    else if (substr(text, 1, 2) == "//") { line_comment = 1; break }
    else {
      if (begins && match(text, /^#[ \t]*(include|include_next|import)[ \t]*(<[^>]*>|"[^"]*")/)) {
        target = substr(text, 1, RLENGTH)
        text = substr(text, RLENGTH + 1)
        sub(/^[^<"]*[<"]/, "", target)
        if (want == "includes") print substr(target, 1, length(target) - 1)
      }
      else if (begins && match(text, /^#[ \t]*[A-Za-z_0-9]*/)) text = substr(text, RLENGTH + 1)
      else if (match(text, /^(u8|u|U|L)?"([^"\\]|\\.)*"/)) text = substr(text, RLENGTH + 1)
      else if (match(text, /^(u8|u|U|L)?'([^'\\]|\\.)*'/)) text = substr(text, RLENGTH + 1)
      else if (match(text, /^["']/)) break
      else if (match(text, /^\.?[0-9]([eEpP][-+]|'[A-Za-z0-9_]|[A-Za-z0-9_.])*/)) text = substr(text, RLENGTH + 1)
      else if (match(text, /^[A-Za-z_][A-Za-z_0-9]*/)) {
        if (want != "includes") print substr(text, 1, RLENGTH)
        text = substr(text, RLENGTH + 1)
      }
      else text = substr(text, 2)
      begins = 0
    }
  }
}
