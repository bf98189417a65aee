// Command orderflow is the one binary of the order workflow: it runs the services, sets up what they need, and helps operators.
// There is one file for each command; main.go maps errors to exit codes.
package main
