// Command probe is what the cluster's own tests run inside a pod: it needs no shell, no libc and
// no image but itself.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const usage = `usage: probe serve ADDRESS   answer every HTTP request with the host name
       probe get URL         print what URL answers
       probe resolve NAME    print the addresses of NAME
       probe burn SECONDS    keep one core busy`

func main() {
	if len(os.Args) != 3 {
		fail(usage)
	}
	commands := map[string]func(string) error{"serve": serve, "get": get, "resolve": resolve, "burn": burn}
	command, found := commands[os.Args[1]]
	if !found {
		fail(usage)
	}
	if err := command(os.Args[2]); err != nil {
		fail(err.Error())
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(1)
}

func serve(address string) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, host)
	}))
}

func get(url string) error {
	client := &http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return nil
}

func resolve(name string) error {
	addresses, err := net.LookupHost(name)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		fmt.Println(address)
	}
	return nil
}

func burn(seconds string) error {
	duration, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return err
	}
	for end := time.Now().Add(duration); time.Now().Before(end); {
	}
	return nil
}
