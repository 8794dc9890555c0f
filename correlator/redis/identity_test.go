package redis_test

import (
	"strings"
	"testing"

	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// TestPasswordOfItsOwn: a password that a URL could not carry as it is authenticates a user, and a wrong one does not.
func TestPasswordOfItsOwn(t *testing.T) {
	const password = "p/@:%?#[]" //nolint:gosec // of a server that ends with the test
	server := redistest.Start(t)
	server.Do("acl", "setuser", "gate", "on", ">"+password, "~*", "&*", "+@all")
	cfg := config(server.URL())
	cfg.Username, cfg.Password = "gate", password
	start(t, cfg)

	cfg.Password = "another"
	wary := launch(t, cfg)
	correlatortest.Eventually(t, "a wrong password is refused", func() bool {
		err := wary.Ready()
		return err != nil && strings.Contains(err.Error(), "WRONGPASS")
	})
}

// TestIdentity: the keys of their own say who we are where the URL does not, to Redis and to the Sentinels.
func TestIdentity(t *testing.T) {
	cfg := redis.Default()
	cfg.Mode, cfg.URL = redis.Sentinel, "redis://h:26379?master_name=M"
	cfg.Username, cfg.Password, cfg.SentinelUsername, cfg.SentinelPassword = "u", "p", "su", "sp"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	o, err := cfg.Tries()
	if err != nil || o.Username != "u" || o.Password != "p" || o.SentinelUsername != "su" || o.SentinelPassword != "sp" {
		t.Errorf("%+v, %v", o, err)
	}
	cfg = redis.Default()
	cfg.URL = "redis://u@h/0"
	cfg.Password = "p"
	if o, err = cfg.Tries(); err != nil || o.Username != "u" || o.Password != "p" || cfg.Validate() != nil {
		t.Errorf("%+v, %v, %v", o, err, cfg.Validate())
	}
	for _, mode := range []string{redis.Standalone, redis.Cluster} {
		cfg = redis.Default()
		cfg.Mode, cfg.SentinelPassword = mode, "p"
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), "sentinel_password: is for mode sentinel") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
