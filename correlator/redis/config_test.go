package redis_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/correlator/redis"
)

func TestConfig(t *testing.T) {
	valid := map[string]redis.Config{
		"default":  redis.Default(),
		"tls":      {Mode: redis.Standalone, URL: "rediss://user@h:6379/3?skip_verify=true&pool_size=5"},
		"unix":     {Mode: redis.Standalone, URL: "unix:///run/redis.sock?db=2"},
		"sentinel": {Mode: redis.Sentinel, URL: "redis://h1:26379?master_name=M&addr=h2:26379"},
		"cluster":  {Mode: redis.Cluster, URL: "redis://h1:7000?addr=h2:7000"},
	}
	for name, c := range valid {
		c.Timeout, c.Prefix = time.Second, "p"
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigProblems: every problem is named, and no error holds a password.
func TestConfigProblems(t *testing.T) {
	for _, c := range []struct {
		change func(*redis.Config)
		want   string
	}{
		{func(c *redis.Config) { c.Mode = "ring" }, "mode: must be standalone, sentinel or cluster"},
		{func(c *redis.Config) { c.URL = "redis://u:hunter2@:x" }, "url: "},
		{func(c *redis.Config) { c.URL = "redis://u:hunter2@h/%zz" }, "url: "},
		{func(c *redis.Config) { c.URL = "redis://u:hunter2@h/0?nonsense=hunter2" }, "url: "},
		{func(c *redis.Config) { c.URL = "http://u:hunter2@h" }, "url: "},
		{func(c *redis.Config) { c.URL = "" }, "url: "},
		{func(c *redis.Config) { c.Mode, c.URL = redis.Sentinel, "redis://u:hunter2@h:26379" }, "url: needs master_name"},
		{func(c *redis.Config) { c.Mode, c.URL = redis.Cluster, "redis://u:hunter2@h:26379?addr=" }, "url: "},
		{func(c *redis.Config) { c.Timeout = 0 }, "timeout: must be greater than 0"},
		{func(c *redis.Config) { c.Prefix = "" }, "prefix: must be"},
		{func(c *redis.Config) { c.Prefix = "a{b}" }, "prefix: must be"},
		{func(c *redis.Config) { c.Parked, c.Retention = -1, -1 }, "parked: must not be negative\nretention: must not be negative"},
	} {
		cfg := redis.Default()
		c.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v", c.want, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is in the error: %v", err)
		}
		if _, err := redis.New(cfg, nodeKeys(t), redis.Options{}); err == nil {
			t.Errorf("%q: New takes it", c.want)
		}
	}
}

// TestTimeoutsAreOurs: whatever the URL says.
func TestTimeoutsAreOurs(t *testing.T) {
	cfg := redis.Default()
	cfg.URL = "redis://h/0?max_retries=9&read_timeout=1h&dial_timeout=-1&write_timeout=1h&pool_timeout=1h&protocol=3&pool_size=7&client_name=n"
	o, err := cfg.Tries()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]time.Duration{"dial": o.DialTimeout, "read": o.ReadTimeout, "write": o.WriteTimeout, "pool": o.PoolTimeout} {
		if d != cfg.Timeout {
			t.Errorf("%s: %v", name, d)
		}
	}
	if o.MaxRetries != 1 || !o.ContextTimeoutEnabled || o.Protocol != 2 || o.DialerRetries != 1 {
		t.Errorf("options %+v", o)
	}
	if o.PoolSize != 7 || o.ClientName != "n" {
		t.Errorf("pool of %d, name %q", o.PoolSize, o.ClientName)
	}
}
