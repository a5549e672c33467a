// Speaks WebSocket by gorilla/websocket: as a client that does what lines of JSON on its standard input tell it to, or as a
// server (argument "serve"). What it sees it says in lines of JSON on its standard output.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// What the client is told. Data is base64 in JSON, here as everywhere.
type order struct {
	Do           string   `json:"do"`
	URL          string   `json:"url"`
	Origin       string   `json:"origin"`
	Subprotocols []string `json:"subprotocols"`
	Compress     bool     `json:"compress"`
	FragmentSize int      `json:"fragmentSize"`
	Kind         string   `json:"kind"`
	Data         []byte   `json:"data"`
	Code         int      `json:"code"`
	Reason       string   `json:"reason"`
}

// What it answers, and what has come over the connection when it is asked for the next event.
type report struct {
	Event       string `json:"event"`
	Subprotocol string `json:"subprotocol,omitempty"`
	Compressed  bool   `json:"compressed,omitempty"`
	Status      int    `json:"status,omitempty"`
	Body        string `json:"body,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Data        []byte `json:"data,omitempty"`
	Code        int    `json:"code,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Error       string `json:"error,omitempty"`
}

var kinds = map[string]int{"text": websocket.TextMessage, "binary": websocket.BinaryMessage}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve(os.Args[2:])
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	client := &client{}
	for lines.Scan() {
		var todo order
		if err := json.Unmarshal(lines.Bytes(), &todo); err != nil {
			panic(err)
		}
		json.NewEncoder(os.Stdout).Encode(client.do(todo))
	}
}

type client struct {
	conn   *websocket.Conn
	events chan report
}

func (c *client) do(todo order) report {
	deadline := time.Now().Add(10 * time.Second)
	var err error
	switch todo.Do {
	case "dial":
		return c.dial(todo)
	case "next":
		select {
		case event := <-c.events:
			return event
		case <-time.After(10 * time.Second):
			return report{Event: "nothing"}
		}
	case "send":
		var writer io.WriteCloser
		if writer, err = c.conn.NextWriter(kinds[todo.Kind]); err == nil {
			if _, err = writer.Write(todo.Data); err == nil {
				err = writer.Close()
			}
		}
	case "ping":
		err = c.conn.WriteControl(websocket.PingMessage, todo.Data, deadline)
	case "close":
		err = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(todo.Code, todo.Reason), deadline)
	}
	if err != nil {
		return report{Event: "failed", Error: err.Error()}
	}
	return report{Event: "done"}
}

func (c *client) dial(todo order) report {
	if c.conn != nil {
		c.conn.Close()
	}
	dialer := websocket.Dialer{
		Subprotocols:      todo.Subprotocols,
		EnableCompression: todo.Compress,
		WriteBufferSize:   todo.FragmentSize,
		HandshakeTimeout:  10 * time.Second,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
	header := http.Header{}
	if todo.Origin != "" {
		header.Set("Origin", todo.Origin)
	}
	conn, response, err := dialer.Dial(todo.URL, header)
	if errors.Is(err, websocket.ErrBadHandshake) {
		body, _ := io.ReadAll(response.Body)
		return report{Event: "refused", Status: response.StatusCode, Body: string(body)}
	}
	if err != nil {
		return report{Event: "failed", Error: err.Error()}
	}
	c.conn, c.events = conn, make(chan report, 64)
	conn.SetPongHandler(func(data string) error {
		c.events <- report{Event: "pong", Data: []byte(data)}
		return nil
	})
	go read(conn, c.events)
	compressed := strings.Contains(response.Header.Get("Sec-Websocket-Extensions"), "permessage-deflate")
	return report{Event: "open", Subprotocol: conn.Subprotocol(), Compressed: compressed}
}

func read(conn *websocket.Conn, events chan<- report) {
	defer conn.Close()
	for {
		kind, data, err := conn.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			events <- report{Event: "close", Code: closed.Code, Reason: closed.Text}
			return
		}
		if err != nil {
			events <- report{Event: "failed", Error: err.Error()}
			return
		}
		for name, number := range kinds {
			if number == kind {
				events <- report{Event: "message", Kind: name, Data: data}
			}
		}
	}
}

func serve(certificate []string) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"v2.chat", "v1.chat"}, EnableCompression: true}
	fragmenting := websocket.Upgrader{WriteBufferSize: 1024}
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		withConn(&upgrader, w, r, echo)
	})
	http.HandleFunc("/fragments", func(w http.ResponseWriter, r *http.Request) {
		withConn(&fragmenting, w, r, echoInFragments)
	})
	http.HandleFunc("/greeting", func(w http.ResponseWriter, r *http.Request) {
		withConn(&upgrader, w, r, func(conn *websocket.Conn) {
			conn.WriteMessage(websocket.TextMessage, []byte("welcome"))
			echo(conn)
		})
	})
	http.HandleFunc("/close", func(w http.ResponseWriter, r *http.Request) {
		withConn(&upgrader, w, r, func(conn *websocket.Conn) {
			code, _ := strconv.Atoi(r.FormValue("code"))
			message := websocket.FormatCloseMessage(code, r.FormValue("reason"))
			conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(time.Second))
			conn.ReadMessage()
		})
	})
	http.HandleFunc("/closed", func(w http.ResponseWriter, r *http.Request) {
		withConn(&upgrader, w, r, func(conn *websocket.Conn) {
			_, _, err := conn.ReadMessage()
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				json.NewEncoder(os.Stdout).Encode(report{Event: "close", Code: closed.Code, Reason: closed.Text})
			}
		})
	})
	http.HandleFunc("/ping", func(w http.ResponseWriter, r *http.Request) {
		withConn(&upgrader, w, r, func(conn *websocket.Conn) {
			conn.SetPongHandler(func(data string) error {
				return conn.WriteMessage(websocket.TextMessage, []byte("pong "+data))
			})
			conn.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second))
			conn.ReadMessage()
		})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	json.NewEncoder(os.Stdout).Encode(map[string]string{"event": "listening", "port": port})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if len(certificate) == 2 {
		http.ServeTLS(listener, nil, certificate[0], certificate[1])
	} else {
		http.Serve(listener, nil)
	}
}

func withConn(upgrader *websocket.Upgrader, w http.ResponseWriter, r *http.Request, use func(*websocket.Conn)) {
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	use(conn)
}

func echo(conn *websocket.Conn) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if conn.WriteMessage(kind, data) != nil {
			return
		}
	}
}

// A server's writer sends a large Write as one frame, whatever its buffer, so the message is written in small pieces.
func echoInFragments(conn *websocket.Conn) {
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		writer, err := conn.NextWriter(kind)
		if err != nil {
			return
		}
		for len(data) > 0 {
			size := 1024
			if len(data) < size {
				size = len(data)
			}
			if _, err = writer.Write(data[:size]); err != nil {
				return
			}
			data = data[size:]
		}
		if writer.Close() != nil {
			return
		}
	}
}
