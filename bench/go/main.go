// The same echo and the same hub on gorilla/websocket, for the bench.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

var upgrader = websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
var hub = map[*websocket.Conn]bool{}
var mu sync.Mutex

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer c.Close()
	for {
		kind, data, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, data) != nil {
			return
		}
	}
}

func join(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	mu.Lock()
	hub[c] = true
	mu.Unlock()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			mu.Lock()
			delete(hub, c)
			mu.Unlock()
			return
		}
	}
}

func seconds() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func rss() int64 {
	runtime.GC()
	data, _ := os.ReadFile("/proc/self/statm")
	var size, resident int64
	fmt.Sscan(string(data), &size, &resident)
	return resident * int64(os.Getpagesize())
}

func main() {
	runtime.GOMAXPROCS(1)
	http.HandleFunc("/echo", echo)
	http.HandleFunc("/hub", join)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go http.Serve(l, nil)
	out := json.NewEncoder(os.Stdout)
	out.Encode(map[string]any{"port": l.Addr().(*net.TCPAddr).Port})
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var q struct {
			Ask                      string
			Bursts, Size, Bytes, Gap int
		}
		json.Unmarshal(in.Bytes(), &q)
		switch q.Ask {
		case "cpu":
			out.Encode(map[string]any{"seconds": seconds()})
		case "memory":
			out.Encode(map[string]any{"rss": rss()})
		case "broadcast":
			before := seconds()
			text := []byte(strings.Repeat("x", q.Bytes))
			for b := 0; b < q.Bursts; b++ {
				mu.Lock()
				for i := 0; i < q.Size; i++ {
					p, _ := websocket.NewPreparedMessage(websocket.TextMessage, text)
					for c := range hub {
						c.WritePreparedMessage(p)
					}
				}
				mu.Unlock()
				time.Sleep(time.Duration(q.Gap) * time.Millisecond)
			}
			out.Encode(map[string]any{"seconds": seconds() - before})
		}
	}
}
