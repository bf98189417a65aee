// Package document writes documents whose fields keep the order in which they were added: YAML that people read from top to bottom.
package document
